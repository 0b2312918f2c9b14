// Fuzzes the reader of WWW-Authenticate, which takes anything.
#include <cstdlib>
#include <string_view>

#include "oci/challenge.hpp"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto challenges = ipcs::oci::parse_challenges({reinterpret_cast<const char*>(data), size});
  require(challenges.size() <= 16);
  size_t total = 0;
  for (const auto& challenge : challenges) {
    require(!challenge.scheme.empty());
    require(challenge.parameters.size() <= 32);
    total += challenge.scheme.size();
    for (const auto& [name, value] : challenge.parameters) {
      require(!name.empty());
      total += name.size() + value.size();
    }
  }
  require(total <= size);
  return 0;
}
