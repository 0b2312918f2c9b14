// The backend ipfs-http: blobs are DAGs in a Kubo, their names a local index and MFS.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <set>
#include <thread>

#include "blob_reader.hpp"
#include "block_cache.hpp"
#include "config.hpp"
#include "digest_locks.hpp"
#include "digest_text.hpp"
#include "index.hpp"
#include "ipcs/plugin_extensions.hpp"
#include "kubo/rpc.hpp"
#include "state_directory.hpp"
#include "upload.hpp"

namespace ipcs::ipfs_http {

// An opened store. Contracts are those of content_store.h and extensions.h. Answers stat, listings, info, removals and
// ingests from the state directory alone; reads and commits need Kubo. Outlives its readers, ingests and cursors.
class KuboStore final : public plugin::ContentStore,
                        public plugin::Locator,
                        public plugin::Adopter,
                        public plugin::BlockLister,
                        public plugin::CarExchange,
                        public plugin::Prefetcher,
                        public plugin::Repairer {
 public:
  // Works without Kubo if the state directory has been used before; then a warning is logged. Throws Error
  // kFailedPrecondition when Kubo is needed and can't be reached, or holds another store than the directory.
  KuboStore(const plugin::Host& host, const plugin::Call& call, Config config, bool read_only);
  ~KuboStore() override;

  plugin::StoreInfo info(const plugin::Call& call) override;
  plugin::Entry stat_blob(const plugin::Call& call, std::string_view digest) override;
  std::unique_ptr<plugin::Reader> open_blob(const plugin::Call& call, std::string_view digest) override;
  std::unique_ptr<plugin::Cursor> list_blobs(const plugin::Call& call) override;
  void remove_blob(const plugin::Call& call, std::string_view digest) override;
  void quarantine_blob(const plugin::Call& call, std::string_view digest) override;
  std::unique_ptr<plugin::Ingest> open_ingest(const plugin::Call& call, std::string_view key, bool create,
                                              uint64_t expected_size) override;
  std::unique_ptr<plugin::Cursor> list_ingests(const plugin::Call& call) override;
  void discard_ingest(const plugin::Call& call, std::string_view key) override;
  const void* extension(std::string_view id) noexcept override { return plugin::extension_of<KuboStore>(id); }

  std::string cid_of(const plugin::Call& call, std::string_view digest) override;
  plugin::Entry look_up(const plugin::Call& call, std::string_view digest) override;
  plugin::Adopted adopt_blob(const plugin::Call& call, std::string_view digest, std::string_view chunker,
                             std::string_view profile) override;
  plugin::Adopted adopt_cid(const plugin::Call& call, std::string_view cid, std::string_view digest,
                            uint64_t expected_size) override;
  std::unique_ptr<plugin::BlockCursor> list_blocks(const plugin::Call& call, std::string_view digest) override;
  std::unique_ptr<plugin::CarExport> open_export(const plugin::Call& call, std::span<const std::string_view> roots) override;
  std::unique_ptr<plugin::CarImport> open_import(const plugin::Call& call) override;
  void prefetch(const plugin::Call& call, std::string_view digest, uint64_t offset, uint64_t size) override;
  plugin::Repaired repair(const plugin::Call& call, bool dry_run, const plugin::RepairSink& sink) override;

  // ---- for KuboIngest and the extensions ----

  kubo::Rpc& rpc() noexcept { return rpc_; }
  Index& index() noexcept { return index_; }
  BlockCache& cache() noexcept { return *cache_; }
  StateDirectory& directory() noexcept { return directory_; }
  std::shared_ptr<Upload> new_upload(std::shared_ptr<StagedBytes> bytes);
  DigestLocks::Held lock_digest(const plugin::Call& call, std::string_view digest) { return locks_.lock(call, digest); }
  // Throws Error unless Kubo can be reached and is the one that belongs to the state directory. Asks it only where a
  // connection was opened since it was asked last: at the other end of the old ones is the same process.
  void require_kubo(const plugin::Call& call);
  // Makes a DAG, all of whose blocks are pinned or need not be there, the blob: first in Kubo, then in the index. That
  // ends the ingest `key`, where there is one. The caller holds the digest's lock.
  void publish(const plugin::Call& call, const BlobRow& row, std::string_view key = {});
  // An ingest's bytes come or go.
  void count_ingest(int64_t bytes) noexcept { ingest_bytes_ += static_cast<uint64_t>(bytes); }
  // Wakes the thread that tidies up.
  void wake() noexcept;
  // What Kubo has under an entry of MFS, as a row: a claim, unless the digest is proved by the root's CID.
  static BlobRow found_row(const std::string& digest, const kubo::Entry& entry);
  // Takes a blob out of the index, and leaves the rest to the thread that tidies up. Throws kNotFound.
  void take_out(std::string_view digest, ChoreKind kind);
  const std::string& id() const noexcept { return id_; }
  const std::string& prefix() const noexcept { return config_.prefix; }
  // Where a digest's entry is in MFS.
  std::string mfs_path(std::string_view digest) const;

 private:
  enum class Identity { kUnknown, kSame, kOther };

  void require_writable(const std::string& subject) const;
  void begin(const plugin::Call& call);
  // Asks for the store's id, and compares.
  void ask_identity(const plugin::Call& call);
  void check_identity(const plugin::Call& call, const std::string& found);
  size_t rebuild(const plugin::Call& call);
  BlobRow row_of(std::string_view digest);
  // Hashes a claim's bytes, which may come from `reach`; afterwards it is no claim, or gone. Commits of the digest go on
  // meanwhile. Throws Error kNotFound, and leaves the claim, when a block is not within reach.
  BlobRow verify_claim(const plugin::Call& call, const std::string& digest, kubo::Reach reach);
  std::string hash_of(const plugin::Call& call, const BlobRow& row, kubo::Reach reach);
  std::unique_ptr<BlobReader> reader_of(const plugin::Call& call, const BlobRow& row);

  // The thread that tidies up (tidying.cpp).
  void tidy();
  bool tidy_once(const plugin::Call& call);
  void do_chores(const plugin::Call& call);
  void do_chore(const plugin::Call& call, const Chore& chore);
  void drop_pins(const plugin::Call& call);
  void look_at_kubo(const plugin::Call& call);
  bool is_being_read(const std::string& digest);

  const plugin::Host host_;
  const Config config_;
  const bool read_only_;
  StateDirectory directory_;
  Index index_;
  kubo::Rpc rpc_;
  std::string id_;
  DigestLocks locks_;
  DigestLocks claim_turns_;  // each claim is hashed by one thread at a time, others wait for it
  std::atomic<uint64_t> ingest_bytes_{0};

  std::mutex identity_mutex_;
  Identity identity_ = Identity::kUnknown;
  uint64_t identified_at_ = 0;  // Client::connections() when it was asked for its id
  std::string trouble_;  // why Kubo can't be used; empty: it can, as far as is known
  std::string flags_;    // for people: what info's location says beside the address
  std::optional<kubo::RepoStat> repo_;

  std::mutex readers_mutex_;
  std::map<std::string, int> readers_;  // open readers by digest: their DAG is not let go before

  std::unique_ptr<UploadPool> uploads_;
  std::unique_ptr<BlockCache> cache_;
  kubo::OwnCall tidy_call_;
  std::mutex tidy_mutex_;
  std::condition_variable tidy_wake_;
  bool tidy_now_ = false, over_ = false;
  std::string tidied_claim_;  // the claim that was hashed last
  std::atomic<int> repairs_{0};  // under way, which hash claims themselves
  std::thread tidy_thread_;
};

}  // namespace ipcs::ipfs_http
