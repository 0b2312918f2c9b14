// The entry point of the loader's tests, and the program that their probes start.
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>
#include <string_view>

#include "plugin/probe.hpp"

int main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "plugin-probe") return ipcs::loader::probe_main(argc, argv);
  return Catch::Session().run(argc, argv);
}
