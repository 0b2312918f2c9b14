// Noted first, punched out afterwards; read from where they are.
#include "staged_bytes.hpp"

#include <algorithm>

#include "ipcs/error.hpp"
#include "ipld/blockstore.hpp"
#include "ipld/unixfs.hpp"
#include "pins.hpp"

namespace ipcs::ipfs_http {

StagedBytes::StagedBytes(std::string key, std::shared_ptr<StagedFile> file, Index& index, kubo::Rpc& rpc)
    : key_(std::move(key)), file_(std::move(file)), index_(index), rpc_(rpc) {
  const uint64_t size = file_->size();
  for (IngestPart& part : index_.parts(key_)) {
    if (part.end() > size) {  // a truncation was broken off: the file has what was kept, and other bytes may follow
      index_.forget_parts(key_, part.offset, now_ns());
      break;
    }
    parts_.emplace(part.offset, std::move(part));
  }
}

const IngestPart* StagedBytes::part_at(uint64_t offset) const {
  auto next = parts_.upper_bound(offset);
  if (next == parts_.begin()) return nullptr;
  --next;
  return offset < next->second.end() ? &next->second : nullptr;
}

size_t StagedBytes::read_at(const plugin::Call& call, uint64_t offset, std::span<uint8_t> out) {
  size_t done = 0;
  while (done < out.size()) {
    const uint64_t at = offset + done;
    std::optional<ipld::Cid> in_kubo;
    uint64_t begin = 0;  // of the leaf
    {
      const std::shared_lock lock(mutex_);
      if (const IngestPart* part = part_at(at)) {
        const auto number = static_cast<size_t>((at - part->offset) / kLeaf);
        in_kubo = part->leaf(number);
        begin = part->offset + number * kLeaf;
      } else {
        const auto next = parts_.upper_bound(at);
        uint64_t length = out.size() - done;
        if (next != parts_.end()) length = std::min(length, next->first - at);
        const size_t count = file_->read_at(at, out.subspan(done, static_cast<size_t>(length)));
        if (count == 0) return done;
        done += count;
      }
    }
    if (!in_kubo) continue;
    const auto block = leaf(call, *in_kubo);
    if (!block) return done;
    const auto bytes = std::span(*block).subspan(ipld::leaf_frame(kLeaf).before.size(), kLeaf).subspan(static_cast<size_t>(at - begin));
    const size_t count = std::min(bytes.size(), out.size() - done);
    std::copy_n(bytes.begin(), count, out.begin() + static_cast<ptrdiff_t>(done));
    done += count;
  }
  return done;
}

std::optional<ipld::Bytes> StagedBytes::leaf(const plugin::Call& call, const ipld::Cid& cid) {
  try {
    ipld::Bytes block = rpc_.block_get(call, cid, kubo::Reach::kLocal);
    ipld::verify(cid, block);  // and so it has the frame of a full leaf
    return block;
  } catch (const Error& e) {
    if (e.code() == Code::kNotFound || e.code() == Code::kDataLoss) return std::nullopt;
    throw;
  }
}

void StagedBytes::truncate(const plugin::Call& call, uint64_t size) {
  {
    const std::lock_guard lock(given_mutex_);
    given_.clear();
    given_bytes_ = 0;
  }
  auto first_gone = parts_.upper_bound(size);
  if (const IngestPart* cut = part_at(size); cut != nullptr && cut->offset < size) {
    // The part goes as a whole: what stays of it comes back into the file.
    std::vector<uint8_t> bytes(static_cast<size_t>(size - cut->offset));
    if (read_at(call, cut->offset, bytes) != bytes.size())
      throw Error(Code::kDataLoss, "ingest " + key_ + ": Kubo has lost bytes of it");
    file_->write_at(cut->offset, bytes);
    first_gone = parts_.find(cut->offset);
  } else if (parts_.contains(size)) {
    first_gone = parts_.find(size);
  }
  file_->truncate(size);
  const std::unique_lock lock(mutex_);
  if (first_gone == parts_.end()) return;
  index_.forget_parts(key_, first_gone->first, now_ns() + kPinLinger);
  parts_.erase(first_gone, parts_.end());
}

void StagedBytes::ended() {
  if (!parts_.empty()) index_.forget_parts(key_, 0, now_ns() + kPinLinger);
}

bool StagedBytes::overlaps(const IngestPart& part) const {
  const auto meets = [&](const IngestPart& other) { return part.offset < other.end() && other.offset < part.end(); };
  return std::any_of(given_.begin(), given_.end(), meets) ||
         std::any_of(parts_.begin(), parts_.end(), [&](const auto& entry) { return meets(entry.second); });
}

void StagedBytes::given(IngestPart part) noexcept {
  try {
    const std::lock_guard lock(given_mutex_);
    // One that is there already was sent again by an upload that was begun anew.
    if (!punches_ || part.leaves() == 0 || overlaps(part)) return;
    given_bytes_ += part.end() - part.offset;
    given_.push_back(std::move(part));
    if (given_bytes_ < kKept) return;
    index_.keep_parts(key_, given_);
    const std::unique_lock bytes(mutex_);
    for (IngestPart& noted : given_) {
      punches_ = punches_ && file_->punch(noted.offset, noted.end() - noted.offset);
      parts_.emplace(noted.offset, std::move(noted));
    }
    given_.clear();
    given_bytes_ = 0;
  } catch (const std::exception&) {
    punches_ = false;  // the file has all that was not noted
  }
}

}  // namespace ipcs::ipfs_http
