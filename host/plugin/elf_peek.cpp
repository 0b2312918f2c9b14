// What a plugin file says of itself, read from its ELF without running any of its code.
#include "plugin/elf_peek.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>

#include "ipcs/content_store.h"
#include "ipcs/error.hpp"
#include "plugin/abi_check.hpp"
#include "plugin/one_line.hpp"

namespace ipcs::loader {
namespace {

constexpr std::string_view kSymbolStem = "ipcs_content_store_v";
constexpr size_t kMaxText = 512;  // bytes of version, description, build

[[noreturn]] void refuse(const std::string& what) {
  throw Error(Code::kFailedPrecondition, what);
}

// The plugin's symbol. Says so when there is only one of another major version.
ElfSymbol plugin_symbol(const ElfImage& image) {
  const std::vector<ElfSymbol> found = image.symbols(kSymbolStem);
  for (const ElfSymbol& symbol : found)
    if (symbol.name == IPCS_PLUGIN_SYMBOL) return symbol;
  for (const ElfSymbol& symbol : found) {
    const std::string major = symbol.name.substr(kSymbolStem.size());
    const bool number = !major.empty() && major.size() <= 5 &&
                        std::all_of(major.begin(), major.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (number) refuse(wrong_major(major));
  }
  refuse("is not an ipcs plugin: it does not export " IPCS_PLUGIN_SYMBOL
         "; export it with IPCS_PLUGIN, or move the file out of the plugin directory");
}

PluginFacts read_facts(const ElfImage& image) {
  const ElfSymbol symbol = plugin_symbol(image);
  if (symbol.type != STT_OBJECT) refuse(IPCS_PLUGIN_SYMBOL " is not a data symbol; it must be an ipcs_plugin");
  if (symbol.size < kPluginSize)
    refuse(fmt::format(IPCS_PLUGIN_SYMBOL " has {} bytes, an ipcs_plugin has {}; build it against the header of ipcs",
                       symbol.size, kPluginSize));
  if (!image.in_file(symbol.address, kPluginSize))
    refuse(IPCS_PLUGIN_SYMBOL " is not constant data; initialise it statically (constinit)");

  // Only numbers are read from the struct: its pointers get their values from relocations.
  ipcs_plugin plugin{};
  image.read(symbol.address, {reinterpret_cast<uint8_t*>(&plugin), offsetof(ipcs_plugin, name)});
  check_plugin_header(plugin);

  PluginFacts facts;
  facts.abi_minor = plugin.abi_minor;
  facts.needed = image.needed();
  const std::array<uint64_t, 4> slots = {
      symbol.address + offsetof(ipcs_plugin, name), symbol.address + offsetof(ipcs_plugin, version),
      symbol.address + offsetof(ipcs_plugin, description), symbol.address + offsetof(ipcs_plugin, build)};
  const std::map<uint64_t, uint64_t> pointers = image.pointers(slots);
  const auto text = [&](uint64_t slot) {
    const auto found = pointers.find(slot);
    if (found == pointers.end()) return std::string();
    return one_line(image.text(found->second, kMaxText).value_or(""));
  };
  facts.name = text(slots[0]);
  facts.version = text(slots[1]);
  facts.description = text(slots[2]);
  facts.build = text(slots[3]);
  if (!facts.name.empty() && !valid_plugin_name(facts.name)) refuse(wrong_name(facts.name));
  return facts;
}

}  // namespace

PluginFacts peek(const ByteSource& source, const std::string& label) {
  try {
    return read_facts(ElfImage(source));
  } catch (const Error& e) {
    throw Error(e.code(), label + ": " + e.what());
  }
}

PluginFacts peek(const std::string& path) {
  return peek(FileSource(path), path);
}

bool valid_plugin_name(std::string_view name) noexcept {
  const auto lower = [](char c) { return c >= 'a' && c <= 'z'; };
  return !name.empty() && name.size() <= 32 && lower(name[0]) &&
         std::all_of(name.begin(), name.end(), [&](char c) { return lower(c) || (c >= '0' && c <= '9') || c == '-'; });
}

}  // namespace ipcs::loader
