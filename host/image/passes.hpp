// Progress of work that goes through a blob's bytes more than once.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

#include "image/source.hpp"
#include "image/store.hpp"

namespace ipcs::image {

// Each pass counts for its part of the blob, so that its bar goes once from end to end. One thread.
class Passes {
 public:
  // The blob appears as not begun, unless there are no passes or nobody is told.
  Passes(const Report& report, const oci::Descriptor& blob, std::string origin, unsigned passes)
      : report_(report), blob_(blob), origin_(std::move(origin)), passes_(passes) {
    tell(0);
  }

  // What the next pass is to tell of its progress; what is beyond the blob's size counts as all of it.
  Progress next() {
    return [this, begun = begun_++](uint64_t done) {
      const uint64_t size = blob_.size();
      tell(size / passes_ * begun + std::min(done, size) / passes_);
    };
  }
  void finish() { tell(blob_.size()); }

 private:
  void tell(uint64_t done) {
    if (report_ && passes_ > 0) report_(blob_, done, origin_);
  }

  const Report& report_;
  const oci::Descriptor& blob_;
  const std::string origin_;
  const unsigned passes_;
  unsigned begun_ = 0;
};

}  // namespace ipcs::image
