// A listing of directories as the ABI wants it: names first, their files when they are asked for.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "file_system.hpp"
#include "ipcs/plugin.hpp"

namespace ipcs::local {

// One directory to list: its files become entries named `prefix` + file name, where `accepts(file name)`.
struct ListedDirectory {
  std::string path;
  std::string prefix;
  std::function<bool(std::string_view)> accepts;
};

// What the file of an entry says of it. Times of a blob are both its last write, its commit for all that matters.
plugin::Entry to_entry(std::string name, const FileInfo& info, bool blob);

// The names of a directory are read at once when the listing comes to it, so that a file removed and made again
// meanwhile is not seen twice; no lock and no descriptor is held between calls. One thread at a time.
class DirectoryCursor final : public plugin::Cursor {
 public:
  using Hidden = std::function<bool(const std::string& path)>;

  // `hidden` says of a path that exists whether it is to be left out. `file_system` outlives the cursor.
  // `more` comes after what is in the directories.
  DirectoryCursor(FileSystem& file_system, std::vector<ListedDirectory> directories, bool blobs, Hidden hidden,
                  std::vector<plugin::Entry> more = {});

  std::vector<plugin::Entry> next(const plugin::Call& call, size_t capacity) override;

 private:
  bool load_next_directory();

  FileSystem& file_system_;
  std::vector<ListedDirectory> directories_;
  const bool blobs_;
  const Hidden hidden_;
  std::vector<plugin::Entry> more_;  // still to be told
  size_t directory_ = 0;             // the next one to load
  std::vector<std::string> names_;   // of the one before
  size_t position_ = 0;              // in names_
};

}  // namespace ipcs::local
