// Chunkers by their names, and the one of a fixed size.
#include "ipld/chunker.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "ipcs/error.hpp"
#include "ipld/fastcdc.hpp"
#include "ipld/tar_chunker.hpp"
#include "ipld/zstd_frames.hpp"

namespace ipcs::ipld {
namespace {

class FixedSize final : public Chunker {
 public:
  explicit FixedSize(size_t size) noexcept : size_(size) {}
  size_t max_size() const noexcept override { return size_; }
  size_t cut(BytesView bytes) override { return std::min(bytes.size(), size_); }

 private:
  size_t size_;
};

[[noreturn]] void refuse(Code code, std::string_view text, std::string_view why) {
  throw Error(code, fmt::format("chunker \"{}\": {}", shown(text), why));
}

// The numbers of "-1-2-3".
std::vector<size_t> numbers_of(std::string_view text, std::string_view rest) {
  std::vector<size_t> numbers;
  while (!rest.empty()) {
    size_t number = 0;
    const auto [end, error] = std::from_chars(rest.data() + 1, rest.data() + rest.size(), number);
    if (rest[0] != '-' || error != std::errc() || numbers.size() == 3)
      refuse(Code::kInvalidArgument, text, "want size-N or fastcdc-MIN-AVG-MAX, numbers of bytes");
    numbers.push_back(number);
    rest.remove_prefix(static_cast<size_t>(end - rest.data()));
  }
  return numbers;
}

}  // namespace

std::unique_ptr<Chunker> make_chunker(std::string_view text) {
  if (text == "tar") return std::make_unique<TarChunker>();
  if (text == "zstd-frames") return std::make_unique<ZstdFrames>();
  const std::string_view name = text.substr(0, text.find('-'));
  const std::string_view rest = text.substr(name.size());
  if (name == "size") {
    const auto numbers = numbers_of(text, rest);
    if (numbers.size() != 1) refuse(Code::kInvalidArgument, text, "want size-N with a number of bytes");
    if (numbers[0] == 0 || numbers[0] > kMaxChunk)
      refuse(Code::kInvalidArgument, text, fmt::format("the size is from 1 to {} bytes", kMaxChunk));
    return std::make_unique<FixedSize>(numbers[0]);
  }
  if (name == "fastcdc") {
    const auto numbers = numbers_of(text, rest);
    if (numbers.size() != 3) refuse(Code::kInvalidArgument, text, "want fastcdc-MIN-AVG-MAX with numbers of bytes");
    return std::make_unique<FastCdc>(numbers[0], numbers[1], numbers[2]);
  }
  if (name == "rabin" || name == "buzhash")
    refuse(Code::kUnimplemented, text, "this chunker of Kubo is not offered; there are size-N and fastcdc-MIN-AVG-MAX");
  refuse(Code::kInvalidArgument, text, "unknown; there are size-N, fastcdc-MIN-AVG-MAX, tar and zstd-frames");
}

}  // namespace ipcs::ipld
