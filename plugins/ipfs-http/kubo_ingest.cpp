// Staging, and the way of an ingest to a blob.
#include "kubo_ingest.hpp"

#include <algorithm>

#include "ipcs/error.hpp"
#include "proof.hpp"

namespace ipcs::ipfs_http {
namespace {
// For the root that a digest may name, when its bytes were laid out by somebody else. Commits come while containerd
// waits with a lock.
constexpr auto kForeignRoot = std::chrono::seconds(2);
}  // namespace

KuboIngest::KuboIngest(KuboStore& store, std::string key, std::shared_ptr<StagedBytes> bytes)
    : store_(store), key_(std::move(key)), bytes_(std::move(bytes)), size_(bytes_->size()) {}

KuboIngest::~KuboIngest() { end_upload(); }

void KuboIngest::end_upload() noexcept {
  if (!upload_) return;
  upload_->stop();
  upload_.reset();
  store_.wake();  // its pins can go
}

void KuboIngest::require_open() const {
  if (gone_) throw Error(Code::kFailedPrecondition, "ingest " + key_ + ": has been committed");
}

size_t KuboIngest::read_at(const plugin::Call& call, uint64_t offset, std::span<uint8_t> out) {
  require_open();
  if (offset >= size_) return 0;
  return bytes_->read_at(call, offset, out.first(static_cast<size_t>(std::min<uint64_t>(out.size(), size_ - offset))));
}

void KuboIngest::append(const plugin::Call& call, std::span<const uint8_t> bytes) {
  require_open();
  call.check();
  bytes_->write_at(size_, bytes);
  size_ += bytes.size();
  store_.count_ingest(static_cast<int64_t>(bytes.size()));
  if (size_ < kBatchBytes) return;
  if (!upload_) upload_ = store_.new_upload(bytes_);
  upload_->grown(size_);
}

void KuboIngest::truncate(const plugin::Call& call, uint64_t size) {
  require_open();
  if (size > size_)
    throw Error(Code::kOutOfRange,
                "ingest " + key_ + ": cannot keep " + std::to_string(size) + " bytes of " + std::to_string(size_));
  end_upload();
  bytes_->truncate(call, size);
  store_.count_ingest(static_cast<int64_t>(size) - static_cast<int64_t>(size_));
  size_ = size;
}

void KuboIngest::commit(const plugin::Call& call, uint64_t size, std::string_view digest,
                        std::string_view content_digest) {
  require_open();
  call.check();
  if (size != size_)
    throw Error(Code::kFailedPrecondition,
                "ingest " + key_ + ": holds " + std::to_string(size_) + " bytes, not " + std::to_string(size));
  const bool names_bytes = digest == content_digest;
  if (!names_bytes && !root_of(digest))
    throw Error(Code::kFailedPrecondition,
                "ingest " + key_ + ": its bytes are " + std::string(content_digest) + ", not " + std::string(digest));
  if (bytes_->size() != size_) bytes_->truncate(call, size_);

  const auto lock = store_.lock_digest(call, digest);
  const auto known = store_.index().find(digest);
  if (known && known->verified && known->reading == Reading::kBytes) {
    if (names_bytes && known->size == size) {
      drop();
      throw Error(Code::kAlreadyExists, "blob " + std::string(digest) + ": already exists");
    }
    if (!names_bytes)
      throw Error(Code::kFailedPrecondition, "ingest " + key_ + ": its bytes are " + std::string(content_digest) + ", but " +
                                                 std::string(digest) + " is a blob whose bytes have that digest");
  }
  store_.require_kubo(call);
  try {
    const ipld::Cid root = root_for(call, digest, names_bytes);
    const bool there = !names_bytes && known && known->reading == Reading::kRoot && known->size == size;
    store_.publish(call, {std::string(digest), root, size, known && there ? known->created_ns : now_ns(),
                          names_bytes ? Reading::kBytes : Reading::kRoot, true},
                   key_);
    drop();
    if (there) throw Error(Code::kAlreadyExists, "blob " + std::string(digest) + ": already exists");
  } catch (const Error& e) {
    if (gone_) throw;
    throw Error(e.code(), "ingest " + key_ + ": " + e.what());
  }
}

ipld::Cid KuboIngest::root_for(const plugin::Call& call, std::string_view digest, bool names_bytes) {
  if (!upload_) upload_ = store_.new_upload(bytes_);
  ipld::Cid root = upload_->finish(call, size_).cid;
  if (names_bytes || p2p_digest(root) == digest) return root;
  return foreign_root(call, digest);
}

ipld::Cid KuboIngest::foreign_root(const plugin::Call& call, std::string_view digest) {
  const ipld::Cid root = *root_of(digest);
  const std::string neither = "its bytes have another digest than " + std::string(digest) + ", which names no root of them either: ";
  auto deadline = std::chrono::steady_clock::now() + kForeignRoot;
  if (call.has_deadline()) deadline = std::min(deadline, call.deadline());
  const kubo::OwnCall search(deadline);
  const plugin::Call limited = search.call();
  CacheSource source(store_.cache(), kubo::Reach::kNetwork);
  source.set_call(&limited);
  std::optional<CarBatch> batch(std::in_place);
  ipld::BlockCallback sink([&](const ipld::Cid& cid, ipld::BytesView data) {
    batch->put(cid, data);
    if (!batch->full()) return;
    upload_->pins().send(call, *batch);
    batch.emplace();
  });
  const ReadBytes bytes = [&](uint64_t offset, std::span<uint8_t> out) {
    if (bytes_->read_at(call, offset, out) != out.size())
      throw Error(Code::kDataLoss, "bytes that arrived are lost at " + std::to_string(offset));
  };
  try {
    prove(call, source, root, size_, bytes, sink);
    if (!batch->empty()) upload_->pins().send(call, *batch);
  } catch (const Error& e) {
    call.check();
    const bool no_answer = e.code() == Code::kDeadlineExceeded || e.code() == Code::kNotFound ||
                           e.code() == Code::kInvalidArgument || e.code() == Code::kDataLoss;
    if (no_answer || e.code() == Code::kFailedPrecondition)
      throw Error(Code::kFailedPrecondition, neither + (no_answer ? "nobody has a block of that digest that is a file's" : e.what()));
    throw;
  }
  return root;
}

void KuboIngest::drop() {
  end_upload();
  store_.directory().remove_ingest(key_);
  bytes_->ended();
  store_.index().forget_ingest(key_);
  store_.count_ingest(-static_cast<int64_t>(size_));
  gone_ = true;
}

}  // namespace ipcs::ipfs_http
