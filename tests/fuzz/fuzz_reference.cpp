// Fuzzes the parser of image names: what it takes has one full form that means the same, what it refuses one short
// line.
#include <cstdlib>
#include <string_view>

#include "ipcs/error.hpp"
#include "oci/reference.hpp"
#include "oci/url.hpp"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using ipcs::oci::Reference;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const Reference reference = Reference::parse(text);
    const std::string full = reference.to_string();
    require(Reference::parse(full) == reference);
    require(reference.name().size() <= 255);
    require(reference.tag() || reference.digest());
    require(full.find_first_of(" \r\n\t?#\\%\"") == std::string::npos);
    // It becomes a part of a URL.
    const auto url = ipcs::oci::Url::parse("https://" + reference.host() + "/v2/" + reference.path() + "/manifests/" +
                                           reference.object());
    require(url.user_info.empty());
    require(url.target == "/v2/" + reference.path() + "/manifests/" + reference.object());
  } catch (const ipcs::Error& error) {
    const std::string_view message = error.what();
    require(error.code() == ipcs::Code::kInvalidArgument);
    require(message.size() < 400 && message.find('\n') == std::string_view::npos);
  }
  return 0;
}
