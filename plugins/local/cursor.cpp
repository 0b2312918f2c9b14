// Reads names directory by directory and stats them entry by entry.
#include "cursor.hpp"

#include <algorithm>

namespace ipcs::local {

plugin::Entry to_entry(std::string name, const FileInfo& info, bool blob) {
  return {std::move(name), info.size, blob ? info.modified_ns : info.created_ns, info.modified_ns};
}

DirectoryCursor::DirectoryCursor(FileSystem& file_system, std::vector<ListedDirectory> directories, bool blobs,
                                 Hidden hidden, std::vector<plugin::Entry> more)
    : file_system_(file_system),
      directories_(std::move(directories)),
      blobs_(blobs),
      hidden_(std::move(hidden)),
      more_(std::move(more)) {}

std::vector<plugin::Entry> DirectoryCursor::next(const plugin::Call& call, size_t capacity) {
  std::vector<plugin::Entry> entries;
  while (entries.size() < capacity) {
    if (position_ == names_.size()) {
      if (!load_next_directory()) break;
      continue;
    }
    if (position_ % 64 == 0) call.check();
    const std::string& name = names_[position_++];
    const ListedDirectory& directory = directories_[directory_ - 1];
    const std::string path = directory.path + "/" + name;
    const auto info = file_system_.stat(path);
    if (!info || !info->regular || hidden_(path)) continue;
    entries.push_back(to_entry(directory.prefix + name, *info, blobs_));
  }
  while (entries.size() < capacity && !more_.empty()) {
    entries.push_back(std::move(more_.back()));
    more_.pop_back();
  }
  return entries;
}

bool DirectoryCursor::load_next_directory() {
  if (directory_ == directories_.size()) return false;
  const ListedDirectory& directory = directories_[directory_++];
  names_ = file_system_.list(directory.path).value_or(std::vector<std::string>());
  position_ = 0;
  std::erase_if(names_, [&](const std::string& name) { return !directory.accepts(name); });
  // Some file systems show a name twice that was removed and made again during the reading.
  std::sort(names_.begin(), names_.end());
  names_.erase(std::unique(names_.begin(), names_.end()), names_.end());
  return true;
}

}  // namespace ipcs::local
