// Cutting a tar at its own boundaries, so that what did not change of an image is the same blocks again.
#pragma once

#include "ipld/chunker.hpp"
#include "ipld/fastcdc.hpp"
#include "ipld/tar_reader.hpp"

namespace ipcs::ipld {

// Sizes in bytes. Those of the chunker called "tar" are final: others would cut published files elsewhere.
struct TarSizes {
  size_t alone = 8 << 10;     // a file of more stands apart from others
  size_t large = 256 << 10;   // a file of more is cut
  size_t least = 16 << 10;    // a run of entries does not end before
  size_t target = 64 << 10;   // about which a run has
  size_t most = 512 << 10;    // beyond which none goes
  size_t cdc_min = 16 << 10;  // FastCDC of large files
  size_t cdc_average = 64 << 10;
  size_t cdc_max = 256 << 10;
};

// A run of entries ends behind an entry of S bytes, header and padding counted, whose path's hash is below S / target of all
// hashes: about as often as an entry of one target's length comes by, and at the same entries whatever is in the files. A run
// that would grow beyond `most` ends before. The header of a file that stands apart ends a run: so its data are the same blocks in
// whatever image and with whatever time. They are, with their padding, one chunk, those of a large file are cut by FastCDC. The archive's end and what follows it stand apart. Hash: FNV-1a of 64 bits over prefix, "/" and path, mixed by
// SplitMix64's last steps.
class TarChunker final : public Chunker {
 public:
  explicit TarChunker(TarSizes sizes = {});

  size_t max_size() const noexcept override { return kMaxChunk; }
  // Throws Error kInvalidArgument for what is no tar or is cut short; see read_tar_entry().
  size_t cut(BytesView bytes) override;

 private:
  size_t cut_run(BytesView bytes);
  size_t cut_data(BytesView bytes);

  const TarSizes sizes_;
  FastCdc cdc_;
  uint64_t offset_ = 0;      // in the tar, of the last cut
  uint64_t data_left_ = 0;  // of a file that stands apart, with its padding
  bool cut_data_ = false;    // it is a large one
  bool ended_ = false;       // the last cut is where the archive ends
};

}  // namespace ipcs::ipld
