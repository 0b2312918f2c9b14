// Fuzzes the reader of docker's config.json; no message may show what was in it beyond names.
#include <cstdlib>
#include <string>

#include "ipcs/error.hpp"
#include "oci/credentials.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const auto config = ipcs::oci::DockerConfig::parse({reinterpret_cast<const char*>(data), size}, "config.json");
    for (const char* host : {"docker.io", "localhost:5000", "h"}) {
      config.stored(host);
      config.program(host);
    }
  } catch (const ipcs::Error& error) {
    const std::string_view message = error.what();
    if (error.code() != ipcs::Code::kInvalidArgument || message.size() > 400 ||
        message.find('\n') != std::string_view::npos)
      std::abort();
  }
  return 0;
}
