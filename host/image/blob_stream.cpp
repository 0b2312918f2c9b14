// One piece waits while the next one is on its way.
#include "image/blob_stream.hpp"

#include <utility>

#include "ipcs/error.hpp"

namespace ipcs::image {

BlobStream::BlobStream(oci::BlobSource& source, const oci::Descriptor& blob, const oci::Call& call)
    : forward_(call.stop, [this] { stop_.request_stop(); }),
      call_{call.deadline, stop_.get_token()},
      thread_([this, &source, blob] { run(source, blob); }) {}

BlobStream::~BlobStream() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  stop_.request_stop();
  changed_.notify_all();
  thread_.join();
}

void BlobStream::run(oci::BlobSource& source, const oci::Descriptor& blob) {
  std::exception_ptr failure;
  try {
    source.read(
        blob, 0,
        [&](std::span<const uint8_t> bytes) {
          if (bytes.empty()) return;
          std::string piece(reinterpret_cast<const char*>(bytes.data()), bytes.size());
          std::unique_lock lock(mutex_);
          changed_.wait(lock, [&] { return stopping_ || piece_.empty(); });
          if (stopping_) throw Error(Code::kCancelled, "nobody reads any more");
          piece_ = std::move(piece);
          changed_.notify_all();
        },
        call_);
  } catch (...) {
    failure = std::current_exception();
  }
  const std::lock_guard lock(mutex_);
  ended_ = true;
  failure_ = failure;
  changed_.notify_all();
}

std::string BlobStream::next() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return ended_ || !piece_.empty(); });
  std::string piece = std::exchange(piece_, {});
  if (piece.empty() && failure_) std::rethrow_exception(failure_);
  changed_.notify_all();
  return piece;
}

}  // namespace ipcs::image
