// Kubo's commands that the backend uses, typed. What comes back is not trusted: text is bounded and checked, blocks are
// not verified here.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ipld/cid.hpp"
#include "kubo/client.hpp"

namespace ipcs::kubo {

// A name in MFS.
struct Entry {
  std::string name;
  uint64_t size = 0;  // of a file, bytes
  bool directory = false;
  std::optional<ipld::Cid> cid;
};

struct RepoStat {
  uint64_t used = 0;     // bytes
  uint64_t maximum = 0;  // StorageMax; above it Kubo collects garbage, if it was told to
};

// Where blocks may come from.
enum class Reach { kLocal, kNetwork };

// [thread-safe]. Functions throw Error as Client::post() does.
class Rpc {
 public:
  explicit Rpc(ClientConfig config) : client_(std::move(config)) {}
  Client& client() noexcept { return client_; }
  const std::string& where() const noexcept { return client_.where(); }

  std::string version(const plugin::Call& call);
  // Whether the datastore syncs what it writes; nothing when Kubo's configuration doesn't tell.
  std::optional<bool> syncs(const plugin::Call& call);
  RepoStat repo_stat(const plugin::Call& call);

  // The block's bytes, at most kMaxBlockSize. Throws kNotFound when it isn't there and `reach` is kLocal.
  ipld::Bytes block_get(const plugin::Call& call, const ipld::Cid& cid, Reach reach);
  bool block_has(const plugin::Call& call, const ipld::Cid& cid);

  // `length` bytes of a UnixFS file from `offset` on; fewer where it ends.
  Answer cat(const plugin::Call& call, const ipld::Cid& root, uint64_t offset, uint64_t length);

  // Takes a CAR; `pin`: its roots are pinned. All that is below a root must be in the CAR or in Kubo, which otherwise
  // looks for it in the network; while it runs, Kubo collects no garbage.
  void dag_import(const plugin::Call& call, const Pieces& car, bool pin);
  // The CAR of a DAG.
  Answer dag_export(const plugin::Call& call, const ipld::Cid& root, Reach reach);

  // All recursive pins.
  std::vector<ipld::Cid> pins(const plugin::Call& call);
  // Drops a recursive pin, if there is one.
  void unpin(const plugin::Call& call, const ipld::Cid& cid);
  bool is_pinned(const plugin::Call& call, const ipld::Cid& cid);

  // Links a DAG into MFS, in the place of what is there, parents included.
  void mfs_link(const plugin::Call& call, const ipld::Cid& root, const std::string& path);
  // Nothing when there is nothing.
  std::optional<Entry> mfs_stat(const plugin::Call& call, const std::string& path);
  // Empty when there is no such directory.
  std::vector<Entry> mfs_list(const plugin::Call& call, const std::string& path);
  // False when there is nothing.
  bool mfs_remove(const plugin::Call& call, const std::string& path);
  void mfs_move(const plugin::Call& call, const std::string& from, const std::string& to);
  void mfs_make_directory(const plugin::Call& call, const std::string& path);
  void mfs_write(const plugin::Call& call, const std::string& path, const std::string& text);
  // Nothing when there is no such file; at most `limit` bytes of it.
  std::optional<std::string> mfs_read(const plugin::Call& call, const std::string& path, size_t limit);

 private:
  Client client_;
};

}  // namespace ipcs::kubo
