// Every public header compiles with clang 14 and libc++ 14; this file only has to compile there.
#include "ipcs/conformance.hpp"
#include "ipcs/plugin.hpp"
#include "ipcs/plugin_config.hpp"
#include "ipcs/plugin_extensions.hpp"
#include "ipcs/store.hpp"
#include "ipcs/store_extensions.hpp"

void check_keys() {
  constexpr std::string_view kKnown[] = {"path", "quota"};
  ipcs::plugin::check_key("path", kKnown);
}

int count_cases() {
  return static_cast<int>(ipcs::conformance::cases().size());
}
