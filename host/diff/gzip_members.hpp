// What both gzip libraries leave to their caller: where a member ends and whether another one follows.
#pragma once

#include <span>
#include <utility>
#include <vector>

#include "diff/byte_source.hpp"
#include "ipcs/error.hpp"

namespace ipcs::diff {

// The stored bytes of a file of gzip members, as a library takes them.
class GzipInput {
 public:
  explicit GzipInput(ByteSource& source) : source_(source) {}

  // What has not been taken yet; reads more when that is nothing. Empty at the end.
  std::span<const uint8_t> bytes() {
    if (rest_.empty()) rest_ = source_.next(kPiece);
    return rest_;
  }
  // The library has left the last `count` bytes of bytes().
  void keep(size_t count) { rest_ = rest_.last(count); }

  // At the beginning of a member: bytes() has all of its header, unless that is unusually long. ISA-L 2.30 finds the checksum
  // wrong of a header that it gets in two pieces.
  void join_header() {
    if (bytes().size() >= kHeader) return;
    std::vector<uint8_t> joined(rest_.begin(), rest_.end());
    for (auto piece = source_.next(kPiece); !piece.empty(); piece = source_.next(kPiece)) {
      joined.insert(joined.end(), piece.begin(), piece.end());
      if (joined.size() >= kHeader) break;
    }
    joined_ = std::move(joined);
    rest_ = joined_;
  }

  // After a member: whether another one begins. Zeros up to the end, with which some writers fill a block, end the
  // stream.
  bool at_next_member() {
    bool zeros = false;
    for (;;) {
      const auto piece = bytes();
      if (piece.empty()) return false;
      if (piece[0] != 0) {
        if (zeros || piece[0] != 0x1f) throw Error(Code::kDataLoss, "the gzip stream has other bytes behind its end");
        return true;
      }
      zeros = true;
      size_t count = 0;
      while (count < piece.size() && piece[count] == 0) ++count;
      rest_ = rest_.subspan(count);
    }
  }

 private:
  static constexpr size_t kPiece = 256 * 1024;
  static constexpr size_t kHeader = 4096;

  ByteSource& source_;
  std::span<const uint8_t> rest_;  // in the source's last piece, or in joined_
  std::vector<uint8_t> joined_;
};

}  // namespace ipcs::diff
