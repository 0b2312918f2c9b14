// What a store of DAGs can do beside keeping blobs: locate, adopt, prefetch.
#include "ipld/dag_builder.hpp"
#include "ipld/dag_pb.hpp"
#include "kubo_store.hpp"

namespace ipcs::ipfs_http {
namespace {

constexpr size_t kStep = 1 << 20;
constexpr size_t kMostDistinct = 1 << 20;  // blocks of one blob that are counted; in Kubo's default layout 256 GiB

// Counts each block once and sends them in batches.
class Counting final : public ipld::BlockSink {
 public:
  Counting(const plugin::Call& call, HeldPins& pins) : call_(call), pins_(pins) {}
  void put(const ipld::Cid& cid, ipld::BytesView data) override {
    if (seen_.insert(cid.hash()).second) bytes_ += data.size();
    batch_->put(cid, data);
    if (seen_.size() > kMostDistinct)
      throw Error(Code::kInvalidArgument, "this chunker makes more than " + std::to_string(kMostDistinct) +
                                              " blocks of the blob: choose larger chunks");
    if (batch_->full()) flush();
  }
  void flush() {
    if (!batch_->empty()) pins_.send(call_, *batch_);
    batch_.emplace();
  }
  uint64_t blocks() const { return seen_.size(); }
  uint64_t bytes() const { return bytes_; }

 private:
  const plugin::Call& call_;
  HeldPins& pins_;
  std::optional<CarBatch> batch_{std::in_place};
  std::set<ipld::Multihash> seen_;
  uint64_t bytes_ = 0;
};

ipld::Profile profile_named(std::string_view name, std::string_view chunker) {
  ipld::Profile profile = ipld::named_profile(name.empty() ? "default" : name == "cid-version-1" ? "cid-version=1" : name);
  if (!chunker.empty()) profile.chunker = chunker;
  try {
    profile.validate();
  } catch (const Error& e) {
    throw Error(Code::kInvalidArgument, e.what());
  }
  return profile;
}

}  // namespace

std::string KuboStore::cid_of(const plugin::Call&, std::string_view digest) { return row_of(digest).cid.to_string(); }

plugin::Entry KuboStore::look_up(const plugin::Call& call, std::string_view digest) {
  const auto entry = [](const BlobRow& row) {
    return plugin::Entry{row.digest, row.size, row.created_ns, row.created_ns, row.reading == Reading::kRoot};
  };
  const auto lock = locks_.lock(call, digest);
  if (const auto row = index_.find(digest)) return entry(*row);
  const std::string name = "blob " + std::string(digest);
  const auto root = root_of(digest);
  if (!root) throw Error(Code::kNotFound, name + ": not found; only sha256 digests can name a root");
  require_writable(name);
  CacheSource source(*cache_, kubo::Reach::kNetwork);
  source.set_call(&call);
  std::optional<BlobRow> row;
  try {
    const ipld::DagReader reader(source, *root, 0);
    row = BlobRow{std::string(digest), *root, reader.size(), now_ns(), Reading::kRoot, true};
  } catch (const Error& e) {
    if (e.code() == Code::kCancelled || e.code() == Code::kDeadlineExceeded) throw Error(e.code(), name + ": " + e.what());
    if (e.code() == Code::kFailedPrecondition) {
      if (!cache_->find(*root)) throw;  // Kubo could not be asked
    } else if (e.code() != Code::kDataLoss && e.code() != Code::kNotFound) {
      throw;
    }
    if (e.code() == Code::kDataLoss) cache_->drop(*root);
    throw Error(Code::kNotFound, name + ": " + e.what());
  }
  require_kubo(call);
  publish(call, *row);
  return entry(*row);
}

plugin::Adopted KuboStore::adopt_blob(const plugin::Call& call, std::string_view digest, std::string_view chunker,
                                      std::string_view profile) {
  require_writable("blob " + std::string(digest));
  const ipld::Profile layout = profile_named(profile, chunker);
  const auto reader = open_blob(call, digest);
  HeldPins pins(index_, rpc_);
  Counting sink(call, pins);
  ipld::DagBuilder builder(layout, sink);
  std::vector<uint8_t> buffer(kStep);
  for (uint64_t offset = 0; offset < reader->size();) {
    const size_t count = reader->read_at(call, offset, buffer);
    builder.append(std::span(buffer).first(count));
    offset += count;
    host_.progress(call, digest, offset, reader->size());
  }
  const ipld::Subtree root = builder.finish();
  sink.flush();
  plugin::Adopted adopted{p2p_digest(root.cid).value_or(""), root.cid.to_string(), root.file_size, sink.blocks(), sink.bytes()};
  if (root.cid.codec() == ipld::Codec::kRaw && adopted.digest.empty()) throw Error(Code::kInvalidArgument, "this profile gives no sha256 root");
  const auto lock = locks_.lock(call, adopted.digest);
  require_kubo(call);
  const auto known = index_.find(adopted.digest);
  const Reading reading = root.cid.codec() == ipld::Codec::kRaw ? Reading::kBytes : Reading::kRoot;
  if (known && known->verified && known->reading == Reading::kBytes && reading == Reading::kRoot)
    throw Error(Code::kFailedPrecondition, "blob " + adopted.digest + ": is there already, with other bytes");
  publish(call, {adopted.digest, root.cid, root.file_size, known ? known->created_ns : now_ns(), reading, true});
  return adopted;
}

plugin::Adopted KuboStore::adopt_cid(const plugin::Call& call, std::string_view cid, std::string_view digest,
                                     uint64_t expected_size) {
  const std::string name = "CID " + kubo::one_line(cid);
  require_writable(name);
  const ipld::Cid root = ipld::Cid::parse(cid);
  const std::string own = p2p_digest(root).value_or("");
  const std::string wanted = digest.empty() ? own : std::string(digest);
  if (wanted.empty()) throw Error(Code::kInvalidArgument, name + ": has no p2p digest, since its hash is no sha2-256");
  split_digest(wanted);
  CacheSource source(*cache_, kubo::Reach::kNetwork);
  source.set_call(&call);
  uint64_t size = 0;
  try {
    size = ipld::DagReader(source, root, 0).size();
  } catch (const Error& e) {
    const bool no_file = e.code() == Code::kFailedPrecondition && cache_->find(root);
    throw Error(no_file ? Code::kInvalidArgument : e.code(), name + ": " + e.what());
  }
  if (expected_size != 0 && expected_size != size)
    throw Error(Code::kFailedPrecondition,
                name + ": has " + std::to_string(size) + " bytes, not " + std::to_string(expected_size));
  const bool is_root = root.codec() == ipld::Codec::kDagPb && wanted == own;
  if (!is_root && wanted != own) {  // a raw block's own digest is that of its bytes, and has been verified
    BlobReader reader(call, *cache_, wanted, root, size, [] {});
    Hasher hasher(wanted);
    std::vector<uint8_t> buffer(kStep);
    for (uint64_t offset = 0; offset < size;) {
      const size_t count = reader.read_at(call, offset, buffer);
      hasher.update(std::span(buffer).first(count));
      offset += count;
      host_.progress(call, wanted, offset, size);
    }
    if (const std::string found = hasher.digest(); found != wanted)
      throw Error(Code::kFailedPrecondition, name + ": its bytes are " + found + ", not " + wanted);
  }
  const auto lock = locks_.lock(call, wanted);
  require_kubo(call);
  const auto known = index_.find(wanted);
  if (known && known->verified && known->reading == Reading::kBytes && is_root)
    throw Error(Code::kFailedPrecondition, "blob " + wanted + ": is there already, with other bytes");
  publish(call, {wanted, root, size, known ? known->created_ns : now_ns(), is_root ? Reading::kRoot : Reading::kBytes, true});
  return {wanted, root.to_string(), size, 0, 0};
}

void KuboStore::prefetch(const plugin::Call& call, std::string_view digest, uint64_t offset, uint64_t size) {
  const auto reader = open_blob(call, digest);
  const uint64_t end = size == 0 ? reader->size() : offset + std::min(size, reader->size() - std::min(offset, reader->size()));
  std::vector<uint8_t> buffer(kStep);
  for (uint64_t at = offset; at < end;) {
    const size_t count = reader->read_at(call, at, std::span(buffer).first(static_cast<size_t>(std::min<uint64_t>(kStep, end - at))));
    if (count == 0) break;
    at += count;
    host_.progress(call, digest, at - offset, end - offset);
  }
}

}  // namespace ipcs::ipfs_http
