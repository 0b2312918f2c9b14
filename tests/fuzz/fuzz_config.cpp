// Fuzzes the configuration file: any text gives settings or one ipcs::Error, and what is accepted keeps its promises.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "config/config.hpp"
#include "config/values.hpp"
#include "ipcs/error.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ipcs::config;
  Environment environment;
  environment.executable = "/usr/bin/ipcsd";
  try {
    const Settings file = parse({reinterpret_cast<const char*>(data), size}, "fuzz.toml");
    const Config config = resolve(file, {}, {}, environment);
    for (const Socket& socket : config.grpc) {
      if (!socket.address.starts_with('/') || socket.address.size() > kSocketPathMax) std::abort();
      if (socket.name.empty() || socket.name == kOperatorClient || socket.mode > 0777) std::abort();
    }
    for (const auto& [name, json] : config.plugins) plugin_json(config, name);
  } catch (const ipcs::Error& error) {
    for (const char c : std::string_view(error.what())) {
      if ((c < ' ' && c != '\n') || c == 127) std::abort();
    }
  }
  return 0;
}
