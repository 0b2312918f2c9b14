// Reading on, and parking.
#include "file_stream.hpp"

#include <algorithm>
#include <array>

#include "ipcs/error.hpp"

namespace ipcs::ipfs_http {

void FileStream::read(const plugin::Call& call, std::span<uint8_t> out) {
  while (!out.empty()) {
    if (left_ == 0) {
      std::array<uint8_t, 1> none;
      if (answer_->read(call, none) != 0)  // its end, so that the connection can be used again
        throw Error(Code::kDataLoss, "the file of " + root_.to_string() + " came with more bytes than were asked for");
      length_ = std::min(2 * length_, kMost);
      answer_.reset();
      answer_.emplace(rpc_.cat(call, root_, next_, length_));
      left_ = length_;
    }
    const size_t count = answer_->read(call, out.first(static_cast<size_t>(std::min<uint64_t>(out.size(), left_))));
    if (count == 0) throw Error(Code::kDataLoss, "the file of " + root_.to_string() + " ends at " + std::to_string(next_));
    next_ += count;
    left_ -= count;
    out = out.subspan(count);
  }
}

std::unique_ptr<FileStream> FileStreams::take(const ipld::Cid& root, uint64_t offset) {
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(parked_.begin(), parked_.end(), [&](const Parked& parked) {
    return parked.stream->next() == offset && parked.stream->root() == root;
  });
  if (found == parked_.end()) return nullptr;
  auto stream = std::move(found->stream);
  parked_.erase(found);
  return stream;
}

void FileStreams::park(std::unique_ptr<FileStream> stream) {
  Parked oldest;  // its socket is closed without the mutex
  const std::lock_guard lock(mutex_);
  parked_.push_back({std::move(stream), std::chrono::steady_clock::now()});
  if (parked_.size() <= kMostStreams) return;
  oldest = std::move(parked_.front());
  parked_.erase(parked_.begin());
}

bool FileStreams::end_idle() {
  std::vector<Parked> idle;
  const std::lock_guard lock(mutex_);
  const auto limit = std::chrono::steady_clock::now() - kIdle;
  const auto young = std::find_if(parked_.begin(), parked_.end(), [&](const Parked& parked) { return parked.since > limit; });
  idle.assign(std::make_move_iterator(parked_.begin()), std::make_move_iterator(young));
  parked_.erase(parked_.begin(), young);
  return !parked_.empty();
}

}  // namespace ipcs::ipfs_http
