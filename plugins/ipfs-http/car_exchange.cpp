// ipcs.car/1: DAGs out of Kubo and into it, every block verified on the way.
#include <set>

#include "ipld/dag_walk.hpp"
#include "kubo_store.hpp"

namespace ipcs::ipfs_http {
namespace {

constexpr size_t kMaxPending = 4 << 20;  // blocks of one CAR that are remembered

// Which blocks came and which are linked to.
class Completeness {
 public:
  // False when the block came before.
  bool came(const ipld::Cid& cid, ipld::BytesView data) {
    if (!came_.insert(cid.hash()).second) return false;
    if (came_.size() + linked_.size() > kMaxPending)
      throw Error(Code::kResourceExhausted, "CAR: has more than " + std::to_string(kMaxPending) + " blocks");
    linked_.erase(cid.hash());
    if (cid.codec() != ipld::Codec::kDagPb && cid.codec() != ipld::Codec::kRaw) return true;
    for (const ipld::Cid& link : ipld::links_of(cid, data)) want(link);
    return true;
  }
  void want(const ipld::Cid& cid) {
    if (cid.hash().code() != ipld::HashCode::kIdentity && !came_.contains(cid.hash())) linked_.emplace(cid.hash(), cid);
  }
  // Those that are linked to and did not come.
  const std::map<ipld::Multihash, ipld::Cid>& missing() const { return linked_; }

 private:
  std::set<ipld::Multihash> came_;
  std::map<ipld::Multihash, ipld::Cid> linked_;
};

class Export final : public plugin::CarExport {
 public:
  Export(kubo::Rpc& rpc, std::vector<ipld::Cid> roots)
      : rpc_(rpc), roots_(std::move(roots)), writer_([this](ipld::BytesView bytes) { ready_.insert(ready_.end(), bytes.begin(), bytes.end()); }, roots_) {}

  size_t read(const plugin::Call& call, std::span<uint8_t> out) override {
    size_t done = 0;
    while (done < out.size()) {
      if (position_ == ready_.size()) {
        ready_.clear();
        position_ = 0;
        if (!fill(call)) break;
        continue;
      }
      const size_t step = std::min(out.size() - done, ready_.size() - position_);
      std::copy_n(ready_.begin() + static_cast<ptrdiff_t>(position_), step, out.begin() + static_cast<ptrdiff_t>(done));
      position_ += step;
      done += step;
    }
    return done;
  }

 private:
  // Makes more bytes ready; false: all is out.
  bool fill(const plugin::Call& call) {
    for (;;) {
      if (answer_) {
        while (const auto block = reader_->next()) {
          if (!seen_.came(block->cid, block->data)) continue;
          writer_.put(block->cid, block->data);
          return true;
        }
        ipld::Bytes piece(256 << 10);
        const size_t count = answer_->read(call, piece);
        if (count > 0) {
          reader_->append(std::span(piece).first(count));
          continue;
        }
        reader_->finish();
        answer_.reset();
        if (!seen_.missing().empty()) {
          throw Error(Code::kNotFound, "Kubo at " + rpc_.where() + ": dag/export: block " +
                                           seen_.missing().begin()->second.to_string() + " did not come");
        }
      }
      if (next_ == roots_.size()) return false;
      const ipld::Cid& root = roots_[next_++];
      seen_.want(root);
      if (seen_.missing().empty()) continue;  // it came below another root
      reader_.emplace();
      answer_.emplace(rpc_.dag_export(call, root, kubo::Reach::kNetwork));
    }
  }

  kubo::Rpc& rpc_;
  const std::vector<ipld::Cid> roots_;
  ipld::Bytes ready_;
  size_t position_ = 0;
  ipld::CarWriter writer_;
  Completeness seen_;
  size_t next_ = 0;
  std::optional<ipld::CarReader> reader_;
  std::optional<kubo::Answer> answer_;
};

class Import final : public plugin::CarImport {
 public:
  Import(Index& index, kubo::Rpc& rpc) : rpc_(rpc), pins_(index, rpc) {}

  void append(const plugin::Call& call, std::span<const uint8_t> bytes) override {
    reader_.append(bytes);
    take(call);
  }
  std::vector<std::string> finish(const plugin::Call& call) override {
    take(call);
    try {
      reader_.finish();
    } catch (const Error& e) {
      throw Error(Code::kInvalidArgument, e.what());
    }
    send(call);
    std::vector<std::string> roots;
    for (const ipld::Cid& root : *reader_.roots()) {
      seen_.want(root);
      roots.push_back(root.to_string());
    }
    for (const auto& [hash, cid] : seen_.missing()) {
      if (!rpc_.block_has(call, cid))
        throw Error(Code::kFailedPrecondition, "CAR: block " + cid.to_string() + " is linked to but missing");
    }
    return roots;
  }

 private:
  void take(const plugin::Call& call) {
    while (const auto block = reader_.next()) {
      if (!seen_.came(block->cid, block->data)) continue;
      batch_->put(block->cid, block->data);
      if (batch_->full()) send(call);
    }
  }
  void send(const plugin::Call& call) {
    if (!batch_->empty()) pins_.send(call, *batch_);
    batch_.emplace();
  }

  kubo::Rpc& rpc_;
  HeldPins pins_;
  ipld::CarReader reader_;
  Completeness seen_;
  std::optional<CarBatch> batch_{std::in_place};
};

}  // namespace

std::unique_ptr<plugin::CarExport> KuboStore::open_export(const plugin::Call&, std::span<const std::string_view> roots) {
  std::vector<ipld::Cid> cids;
  for (const std::string_view root : roots) cids.push_back(ipld::Cid::parse(root));
  return std::make_unique<Export>(rpc_, std::move(cids));
}

std::unique_ptr<plugin::CarImport> KuboStore::open_import(const plugin::Call&) {
  require_writable("CAR");
  return std::make_unique<Import>(index_, rpc_);
}

}  // namespace ipcs::ipfs_http
