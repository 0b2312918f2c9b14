// A blob's bytes for a reader that asks for them.
#pragma once

#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

#include "oci/blobs.hpp"

namespace ipcs::image {

// Turns a source, which pushes, into something to pull from: a thread of its own reads the blob, two pieces ahead at most. It
// ends with the object, whether or not all was read. One thread reads.
class BlobStream {
 public:
  BlobStream(oci::BlobSource& source, const oci::Descriptor& blob, const oci::Call& call);
  BlobStream(const BlobStream&) = delete;
  BlobStream& operator=(const BlobStream&) = delete;
  ~BlobStream();

  // The next bytes; none at the end, and only when the source has vouched for them. Throws what the source threw.
  std::string next();

 private:
  void run(oci::BlobSource& source, const oci::Descriptor& blob);

  std::stop_source stop_;
  const std::stop_callback<std::function<void()>> forward_;
  const oci::Call call_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string piece_;  // empty: taken
  bool stopping_ = false, ended_ = false;
  std::exception_ptr failure_;
  std::thread thread_;  // last: it uses the others
};

}  // namespace ipcs::image
