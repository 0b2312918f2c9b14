// A tar on its way into a file of zstd frames.
#pragma once

#include <memory>
#include <vector>

#include "image/recut.hpp"
#include "oci/digest.hpp"

namespace ipcs::image {

// A file without a name for the bytes of one blob; as a source it gives them back. Written by one thread, then read.
class Spool final : public oci::BlobSource {
 public:
  // Throws Error kResourceExhausted and others that name the directory for temporary files.
  Spool();
  ~Spool() override;
  Spool(const Spool&) = delete;
  Spool& operator=(const Spool&) = delete;

  void write(std::span<const uint8_t> bytes);
  uint64_t size() const noexcept { return size_; }
  oci::Digest digest() const { return hasher_.digest(); }

  void read(const oci::Descriptor& blob, uint64_t from, const oci::Sink& sink, const oci::Call& call) override;
  std::string name() const override { return "convert"; }

 private:
  int fd_;
  uint64_t size_ = 0;
  oci::Hasher hasher_;
};

// Takes a tar as it comes and writes a frame for each chunk, in order; several are compressed at once. A frame is a function of
// its chunk, the level and libzstd's version.
class Framing {
 public:
  Framing(std::unique_ptr<Cutter> cutter, Spool& spool);
  ~Framing();

  void append(std::span<const uint8_t> bytes);
  void finish();
  uint64_t frames() const noexcept { return frames_; }

 private:
  void cut();
  void flush();

  const std::unique_ptr<Cutter> cutter_;
  Spool& spool_;
  std::vector<uint8_t> buffer_;  // what has not been cut begins at begin_
  size_t begin_ = 0;
  std::vector<std::vector<uint8_t>> batch_;
  size_t batch_bytes_ = 0;
  uint64_t frames_ = 0;
};

inline constexpr int kZstdLevel = 9;

}  // namespace ipcs::image
