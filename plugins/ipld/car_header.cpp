// DAG-CBOR, as far as a CAR's header needs it.
#include "ipld/car_header.hpp"

#include <fmt/format.h>

#include "ipcs/error.hpp"

namespace ipcs::ipld {
namespace {

enum class Major : uint8_t { kNumber = 0, kBytes = 2, kText = 3, kArray = 4, kMap = 5, kTag = 6 };

constexpr uint64_t kCidTag = 42;
constexpr std::string_view kRoots = "roots", kVersion = "version";

void append_head(Bytes& out, Major major, uint64_t value) {
  const auto top = static_cast<uint8_t>(static_cast<unsigned>(major) << 5);
  if (value < 24) {
    out.push_back(top | static_cast<uint8_t>(value));
    return;
  }
  const unsigned log = value < 0x100 ? 0 : value < 0x10000 ? 1 : value < 0x100000000 ? 2 : 3;
  out.push_back(top | static_cast<uint8_t>(24 + log));
  for (int shift = static_cast<int>(8 << log) - 8; shift >= 0; shift -= 8)
    out.push_back(static_cast<uint8_t>(value >> shift));
}

void append_text(Bytes& out, std::string_view text) {
  append_head(out, Major::kText, text.size());
  out.insert(out.end(), text.begin(), text.end());
}

class Reader {
 public:
  explicit Reader(BytesView bytes) noexcept : rest_(bytes) {}

  bool at_end() const noexcept { return rest_.empty(); }

  [[noreturn]] static void fail(std::string_view why) {
    throw Error(Code::kInvalidArgument, fmt::format("CAR: its header {}", why));
  }

  BytesView take(uint64_t size) {
    if (size > rest_.size()) fail("is cut off");
    const BytesView taken = rest_.first(size);
    rest_ = rest_.subspan(size);
    return taken;
  }

  // The number in the head of an item of this type.
  uint64_t head(Major major) {
    const uint8_t first = take(1)[0];
    if (first >> 5 != static_cast<unsigned>(major)) fail("is no map of roots and version");
    const unsigned low = first & 31u;
    if (low < 24) return low;
    if (low > 27) fail("is no DAG-CBOR");
    uint64_t value = 0;
    for (const uint8_t byte : take(uint64_t{1} << (low - 24))) value = value << 8 | byte;
    constexpr uint64_t kLeast[] = {24, 0x100, 0x10000, 0x100000000};
    if (value < kLeast[low - 24]) fail("has a number that is not as short as it can be");
    return value;
  }

  std::string_view text() { return as_text(take(head(Major::kText))); }

  Cid cid() {
    if (head(Major::kTag) != kCidTag) fail("has a root that is no CID");
    const BytesView bytes = take(head(Major::kBytes));
    if (bytes.empty() || bytes[0] != 0) fail("has a root that is no CID");
    return Cid::from_bytes(bytes.subspan(1));
  }

  std::vector<Cid> cids() {
    std::vector<Cid> result;
    for (uint64_t left = head(Major::kArray); left > 0; --left) result.push_back(cid());
    return result;
  }

 private:
  BytesView rest_;
};

}  // namespace

Bytes encode_car_header(std::span<const Cid> roots) {
  Bytes out;
  append_head(out, Major::kMap, 2);
  append_text(out, kRoots);
  append_head(out, Major::kArray, roots.size());
  for (const Cid& root : roots) {
    append_head(out, Major::kTag, kCidTag);
    append_head(out, Major::kBytes, 1 + root.byte_size());
    out.push_back(0);  // the multibase prefix of binary
    root.append_to(out);
  }
  append_text(out, kVersion);
  append_head(out, Major::kNumber, 1);
  return out;
}

std::vector<Cid> decode_car_header(BytesView header) {
  Reader reader(header);
  const uint64_t keys = reader.head(Major::kMap);
  std::optional<std::vector<Cid>> roots;
  std::optional<uint64_t> version;
  for (uint64_t i = 0; i < keys; ++i) {
    const std::string_view key = reader.text();
    if (key == kRoots && !roots) {
      roots = reader.cids();
    } else if (key == kVersion && !version) {
      version = reader.head(Major::kNumber);
      if (*version != 1) Reader::fail(fmt::format("says version {}; only version 1 can be read", *version));
    } else {
      Reader::fail(fmt::format("has the key \"{}\" that it should not have", shown(key)));
    }
  }
  if (!roots || !version) Reader::fail("lacks roots or version");
  if (!reader.at_end()) Reader::fail("has bytes behind its end");
  return *std::move(roots);
}

}  // namespace ipcs::ipld
