// Opening, and blobs as the index knows them.
#include "kubo_store.hpp"

#include <sys/random.h>

#include <algorithm>
#include <array>

#include "kubo_ingest.hpp"

namespace ipcs::ipfs_http {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kGreeting = std::chrono::seconds(5);  // for Kubo to answer while the store is opened
constexpr size_t kUploadThreads = 2;
constexpr size_t kFetchThreads = 4;
constexpr size_t kHashStep = 1 << 20;

[[noreturn]] void no_blob(std::string_view digest) {
  throw Error(Code::kNotFound, "blob " + std::string(digest) + ": not found");
}

plugin::Entry to_entry(const BlobRow& row) {
  return {row.digest, row.size, row.created_ns, row.created_ns, row.reading == Reading::kRoot};
}

std::string random_id() {
  std::array<uint8_t, 16> bytes{};
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    throw Error(Code::kInternal, "the kernel gives no random bytes");
  std::string id;
  for (const uint8_t byte : bytes) {
    id += "0123456789abcdef"[byte >> 4];
    id += "0123456789abcdef"[byte & 15];
  }
  return id;
}

kubo::ClientConfig client_config(const Config& config) {
  kubo::ClientConfig client{kubo::parse_address(config.api.empty() ? kubo::default_address() : config.api),
                            authorization(config.auth), config.timeout};
  client.ca_file = config.ca;
  return client;
}

// Pages by digest: what is there all the time comes exactly once.
class BlobCursor final : public plugin::Cursor {
 public:
  explicit BlobCursor(Index& index) : index_(index) {}
  std::vector<plugin::Entry> next(const plugin::Call& call, size_t capacity) override {
    call.check();
    std::vector<plugin::Entry> entries;
    if (over_) return entries;
    for (const BlobRow& row : index_.list(after_, capacity)) {
      entries.push_back(to_entry(row));
      after_ = row.digest;
    }
    over_ = entries.empty();
    return entries;
  }

 private:
  Index& index_;
  std::string after_;
  bool over_ = false;
};

class IngestCursor final : public plugin::Cursor {
 public:
  explicit IngestCursor(const StateDirectory& directory) : directory_(directory), keys_(directory.ingest_keys()) {}
  std::vector<plugin::Entry> next(const plugin::Call& call, size_t capacity) override {
    call.check();
    std::vector<plugin::Entry> entries;
    while (entries.size() < capacity && position_ < keys_.size()) {
      if (auto entry = directory_.stat_ingest(keys_[position_++])) entries.push_back(*std::move(entry));
    }
    return entries;
  }

 private:
  const StateDirectory& directory_;
  const std::vector<std::string> keys_;
  size_t position_ = 0;
};

}  // namespace

KuboStore::KuboStore(const plugin::Host& host, const plugin::Call& call, Config config, bool read_only)
    : host_(host),
      config_(std::move(config)),
      read_only_(read_only),
      directory_(config_.state, read_only),
      index_(config_.state),
      rpc_(client_config(config_)),
      id_(index_.meta("id")) {
  begin(call);
  if (!read_only_) {
    for (const std::string& key : index_.finished_ingests()) {
      directory_.remove_ingest(key);
      index_.forget_ingest(key);
    }
    for (const std::string& key : index_.ingests_with_parts()) {
      if (!directory_.stat_ingest(key)) index_.forget_parts(key, 0, 0);
    }
    index_.release_all_pins();
  }
  for (const std::string& key : directory_.ingest_keys()) {
    if (const auto entry = directory_.stat_ingest(key)) ingest_bytes_ += entry->size;
  }
  uploads_ = std::make_unique<UploadPool>(kUploadThreads);
  cache_ = std::make_unique<BlockCache>(rpc_, config_.cache, kFetchThreads);
  tidy_thread_ = std::thread([this] { tidy(); });
}

KuboStore::~KuboStore() {
  {
    const std::lock_guard lock(tidy_mutex_);
    over_ = true;
  }
  tidy_call_.cancel();
  tidy_wake_.notify_all();
  tidy_thread_.join();
}

void KuboStore::begin(const plugin::Call& call) {
  call.check();
  auto deadline = Clock::now() + kGreeting;
  if (call.has_deadline()) deadline = std::min(deadline, call.deadline());
  const kubo::OwnCall greeting(deadline);
  std::string found;
  try {
    rpc_.version(greeting.call());
    found = rpc_.mfs_read(greeting.call(), config_.prefix + "/id", 64).value_or("");
  } catch (const Error& e) {
    const bool unreachable = e.code() == Code::kFailedPrecondition || e.code() == Code::kDeadlineExceeded;
    if (!unreachable || id_.empty()) {
      throw Error(Code::kFailedPrecondition,
                  std::string(e.what()) + (id_.empty() ? "; the first start with " + config_.state + " needs Kubo" : ""));
    }
    trouble_ = e.what();
    host_.log(IPCS_LOG_WARN, trouble_ + "; what is stored is listed, but nothing can be read or written until it is back", &call);
    return;
  }
  check_identity(call, found);
  if (rpc_.syncs(greeting.call()) == std::optional(false)) {
    flags_ = "survives a kill, not a power loss (Datastore sync is off)";
    host_.log(IPCS_LOG_WARN, "Kubo at " + rpc_.where() + ": its datastore does not sync: blobs are safe from a kill, not from a power loss", &call);
  }
}

void KuboStore::check_identity(const plugin::Call& call, const std::string& found) {
  const bool sound = !found.empty() && found.size() <= 63 &&
                     std::all_of(found.begin(), found.end(), [](unsigned char c) { return std::isalnum(c) != 0 || c == '-'; });
  const std::string place = "Kubo at " + rpc_.where();
  if (!found.empty() && !sound)
    throw Error(Code::kFailedPrecondition, place + ": " + config_.prefix + "/id holds no store id");
  if (id_.empty() && found.empty()) {
    if (read_only_) throw Error(Code::kFailedPrecondition, place + ": has no store under " + config_.prefix);
    const std::string fresh = random_id();
    rpc_.mfs_write(call, config_.prefix + "/id", fresh);
    index_.set_meta("id", fresh);
    id_ = fresh;
  } else if (id_.empty()) {
    const size_t count = rebuild(call);
    index_.set_meta("id", found);
    id_ = found;
    host_.log(IPCS_LOG_INFO, place + ": holds a store already: " + std::to_string(count) + " blobs found, each is hashed before it is served", &call);
  } else if (id_ != found) {
    const std::lock_guard lock(identity_mutex_);
    identity_ = Identity::kOther;
    throw Error(Code::kFailedPrecondition,
                place + ": " + (found.empty() ? "has no store under " : "has another store (" + found + ") under ") +
                    config_.prefix + " than " + config_.state + " describes (" + id_ +
                    "): give the right Kubo back, or begin anew with another state directory");
  }
  const std::lock_guard lock(identity_mutex_);
  identity_ = Identity::kSame;
  trouble_.clear();
}

size_t KuboStore::rebuild(const plugin::Call& call) {
  size_t count = 0;
  const std::string blobs = config_.prefix + "/blobs";
  for (const kubo::Entry& algorithm : rpc_.mfs_list(call, blobs)) {
    for (const kubo::Entry& bucket : rpc_.mfs_list(call, blobs + "/" + algorithm.name)) {
      std::vector<BlobRow> rows;
      for (const kubo::Entry& entry : rpc_.mfs_list(call, blobs + "/" + algorithm.name + "/" + bucket.name)) {
        const std::string digest = algorithm.name + ":" + entry.name;
        try {
          split_digest(digest);
        } catch (const Error&) {
          continue;
        }
        if (!entry.directory && entry.cid) rows.push_back(found_row(digest, entry));
      }
      count += index_.add_claims(rows);
    }
  }
  return count;
}

BlobRow KuboStore::found_row(const std::string& digest, const kubo::Entry& entry) {
  const bool is_root = p2p_digest(*entry.cid) == digest && entry.cid->codec() == ipld::Codec::kDagPb;
  return {digest, *entry.cid, entry.size, now_ns(), is_root ? Reading::kRoot : Reading::kBytes, is_root};
}

void KuboStore::require_kubo(const plugin::Call& call) {
  {
    const std::lock_guard lock(identity_mutex_);
    if (identity_ == Identity::kSame && identified_at_ == rpc_.client().connections()) return;
  }
  ask_identity(call);
}

void KuboStore::ask_identity(const plugin::Call& call) {
  const uint64_t before = rpc_.client().connections();
  check_identity(call, rpc_.mfs_read(call, config_.prefix + "/id", 64).value_or(""));
  const std::lock_guard lock(identity_mutex_);
  identified_at_ = before;
}

void KuboStore::require_writable(const std::string& subject) const {
  if (read_only_)
    throw Error(Code::kFailedPrecondition, subject + ": the store at " + rpc_.where() + " is open for reading only");
}

std::string KuboStore::mfs_path(std::string_view digest) const {
  const DigestParts parts = split_digest(digest);
  return config_.prefix + "/blobs/" + std::string(parts.algorithm) + "/" + std::string(parts.hex.substr(0, 2)) + "/" +
         std::string(parts.hex);
}

plugin::StoreInfo KuboStore::info(const plugin::Call&) {
  const StateDirectory::Space space = directory_.space();
  plugin::StoreInfo info;
  info.id = id_;
  info.read_only = read_only_;
  info.used_bytes = index_.bytes() + ingest_bytes_;
  info.full = static_cast<double>(space.total - space.available) >= config_.full_at * static_cast<double>(space.total);
  info.free_bytes = space.available;
  const std::lock_guard lock(identity_mutex_);
  if (repo_ && repo_->maximum > 0)
    info.free_bytes = std::min(info.free_bytes, repo_->maximum - std::min(repo_->maximum, repo_->used));
  info.location = "Kubo at " + rpc_.where() + config_.prefix;
  if (!trouble_.empty()) {
    info.location += ": not reachable";
  } else if (!flags_.empty()) {
    info.location += ": " + flags_;
  }
  return info;
}

BlobRow KuboStore::row_of(std::string_view digest) {
  auto row = index_.find(digest);
  if (!row) no_blob(digest);
  return *std::move(row);
}

plugin::Entry KuboStore::stat_blob(const plugin::Call&, std::string_view digest) { return to_entry(row_of(digest)); }

std::unique_ptr<BlobReader> KuboStore::reader_of(const plugin::Call& call, const BlobRow& row) {
  const std::string digest = row.digest;
  {
    const std::lock_guard lock(readers_mutex_);
    ++readers_[digest];
  }
  const auto closed = [this, digest] {
    {
      const std::lock_guard lock(readers_mutex_);
      if (--readers_[digest] == 0) readers_.erase(digest);
    }
    wake();
  };
  try {
    return std::make_unique<BlobReader>(call, *cache_, digest, row.cid, row.size, closed);
  } catch (...) {
    closed();
    throw;
  }
}

std::unique_ptr<plugin::Reader> KuboStore::open_blob(const plugin::Call& call, std::string_view digest) {
  BlobRow row = row_of(digest);
  if (!row.verified) row = verify_claim(call, row.digest, kubo::Reach::kNetwork);
  return reader_of(call, row);
}

BlobRow KuboStore::verify_claim(const plugin::Call& call, const std::string& digest, kubo::Reach reach) {
  const auto turn = claim_turns_.lock(call, digest);
  for (;;) {
    const BlobRow claim = row_of(digest);
    if (claim.verified) return claim;
    const std::string found = hash_of(call, claim, reach);
    const auto lock = locks_.lock(call, digest);
    BlobRow row = row_of(digest);
    if (row.verified) return row;  // committed meanwhile
    if (row.cid != claim.cid || row.size != claim.size) continue;
    if (found != digest) {
      if (!read_only_) take_out(digest, ChoreKind::kQuarantine);
      throw Error(Code::kDataLoss, "blob " + digest + ": Kubo's entry holds other bytes");
    }
    row.verified = true;
    if (!read_only_) index_.put(row);
    return row;
  }
}

std::string KuboStore::hash_of(const plugin::Call& call, const BlobRow& row, kubo::Reach reach) {
  Hasher hasher(row.digest);
  std::vector<uint8_t> buffer(kHashStep);
  const auto hash = [&](const auto& read_at) {
    for (uint64_t offset = 0; offset < row.size;) {
      call.check();
      const size_t count = read_at(offset);
      if (count == 0) throw Error(Code::kDataLoss, "blob " + row.digest + ": its bytes end at " + std::to_string(offset));
      hasher.update(std::span(buffer).first(count));
      offset += count;
    }
  };
  if (reach == kubo::Reach::kNetwork) {
    const auto reader = reader_of(call, row);
    hash([&](uint64_t offset) { return reader->read_at(call, offset, buffer); });
  } else {
    CacheSource source(*cache_, reach);
    source.set_call(&call);
    ipld::DagReader reader(source, row.cid);
    hash([&](uint64_t offset) { return reader.read_at(offset, buffer); });
  }
  return hasher.digest();
}

std::unique_ptr<plugin::Cursor> KuboStore::list_blobs(const plugin::Call&) { return std::make_unique<BlobCursor>(index_); }

void KuboStore::take_out(std::string_view digest, ChoreKind kind) {
  require_writable("blob " + std::string(digest));
  if (!index_.remove(digest, kind)) no_blob(digest);
  wake();
}

void KuboStore::remove_blob(const plugin::Call&, std::string_view digest) { take_out(digest, ChoreKind::kRemove); }
void KuboStore::quarantine_blob(const plugin::Call&, std::string_view digest) { take_out(digest, ChoreKind::kQuarantine); }

std::unique_ptr<plugin::Ingest> KuboStore::open_ingest(const plugin::Call&, std::string_view key, bool create,
                                                       uint64_t /*expected_size*/) {
  const std::string name = "ingest " + std::string(key);
  require_writable(name);
  const std::string path = directory_.ingest_path(key);
  auto file = StagedFile::open(path, false);
  if (!file) {
    if (!create) throw Error(Code::kNotFound, name + ": not found");
    const StateDirectory::Space space = directory_.space();
    if (static_cast<double>(space.total - space.available) >= config_.full_at * static_cast<double>(space.total))
      throw Error(Code::kResourceExhausted, name + ": the file system of " + config_.state + " is full");
    file = StagedFile::open(path, true);
  }
  auto bytes = std::make_shared<StagedBytes>(std::string(key), std::move(file), index_, rpc_);
  return std::make_unique<KuboIngest>(*this, std::string(key), std::move(bytes));
}

std::unique_ptr<plugin::Cursor> KuboStore::list_ingests(const plugin::Call&) {
  return std::make_unique<IngestCursor>(directory_);
}

void KuboStore::discard_ingest(const plugin::Call&, std::string_view key) {
  require_writable("ingest " + std::string(key));
  const auto entry = directory_.stat_ingest(key);
  if (!entry || !directory_.remove_ingest(key)) throw Error(Code::kNotFound, "ingest " + std::string(key) + ": not found");
  index_.forget_parts(key, 0, now_ns());
  count_ingest(-static_cast<int64_t>(entry->size));
}

std::shared_ptr<Upload> KuboStore::new_upload(std::shared_ptr<StagedBytes> bytes) {
  return std::make_shared<Upload>(std::move(bytes), index_, rpc_, *uploads_);
}

void KuboStore::publish(const plugin::Call& call, const BlobRow& row, std::string_view key) {
  index_.expect_chore(row.digest);
  rpc_.mfs_link(call, row.cid, mfs_path(row.digest));
  require_kubo(call);  // the one that has all the blocks, not another that was started in its place meanwhile
  index_.put(row, key);
}

}  // namespace ipcs::ipfs_http
