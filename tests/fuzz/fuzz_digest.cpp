// Fuzzes the digest parser, and that hashing in pieces equals hashing at once.
#include <cstdlib>
#include <string_view>

#include "ipcs/error.hpp"
#include "oci/digest.hpp"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

void parse(std::string_view text) {
  const auto digest = ipcs::oci::Digest::try_parse(text);
  try {
    require(ipcs::oci::Digest::parse(text) == digest);
  } catch (const ipcs::Error& error) {
    require(!digest && error.code() == ipcs::Code::kInvalidArgument);
    require(std::string_view(error.what()).size() < 300);
    require(std::string_view(error.what()).find('\n') == std::string_view::npos);
    return;
  }
  require(digest->to_string() == text);
  require(text.size() == to_string(digest->algorithm()).size() + 1 + digest->hex().size());
  require(digest->hex().find_first_not_of("0123456789abcdef") == std::string_view::npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const uint8_t> bytes(data, size);
  parse(std::string_view(reinterpret_cast<const char*>(data), size));
  for (const auto algorithm :
       {ipcs::oci::Algorithm::kSha256, ipcs::oci::Algorithm::kSha384, ipcs::oci::Algorithm::kSha512}) {
    const ipcs::oci::Digest whole = ipcs::oci::Digest::of(bytes, algorithm);
    require(ipcs::oci::Digest::try_parse(whole.to_string()) == whole);
    ipcs::oci::Hasher hasher(algorithm);
    const size_t cut = size == 0 ? 0 : data[0] % size;
    hasher.update(bytes.first(cut));
    require(hasher.digest() == ipcs::oci::Digest::of(bytes.first(cut), algorithm));
    hasher.update(bytes.subspan(cut));
    require(hasher.digest() == whole);
  }
  return 0;
}
