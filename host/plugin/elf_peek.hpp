// What a plugin file says of itself, read from its ELF without running any of its code.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "plugin/elf_image.hpp"

namespace ipcs::loader {

// The constant data of a plugin. Texts are empty where they can't be resolved without the dynamic linker.
struct PluginFacts {
  uint16_t abi_minor = 0;
  std::string name;
  std::string version;
  std::string description;
  std::string build;                // compiler and standard library
  std::vector<std::string> needed;  // DT_NEEDED
};

// Reads the plugin `path`. Throws Error with one line that names the file, what is wrong with it and the mend:
// kFailedPrecondition; kNotFound and kPermissionDenied when it can't be opened. A file that passes may still fail to
// load: needed libraries are not looked for, and tables are not read.
PluginFacts peek(const std::string& path);

// As above, from any source; `label` stands for the file's name.
PluginFacts peek(const ByteSource& source, const std::string& label);

// Whether `name` is one that a plugin may have: [a-z][a-z0-9-]{0,31}.
bool valid_plugin_name(std::string_view name) noexcept;

}  // namespace ipcs::loader
