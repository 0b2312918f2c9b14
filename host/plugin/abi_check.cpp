// Checks of a plugin's struct and tables against ABI version 1.0, the least that a host of major 1 needs.
#include "plugin/abi_check.hpp"

#include <fmt/format.h>

#include <cstring>
#include <utility>
#include <vector>

#include "ipcs/error.hpp"
#include "plugin/elf_peek.hpp"
#include "plugin/one_line.hpp"

namespace ipcs::loader {
namespace {

constexpr const char* kMend = "; build it against the header of ipcs";

[[noreturn]] void refuse(const std::string& what) {
  throw Error(Code::kFailedPrecondition, what);
}

using Function = std::pair<const char*, bool>;  // its name, whether it is there

// A table that exists and is as large as in 1.0 may be asked for the members of 1.0; `functions` does.
template <class Ops, class Functions>
void check_table(const char* name, const Ops* ops, size_t size, Functions&& functions) {
  if (ops == nullptr) refuse(fmt::format("has no table `{}`{}", name, kMend));
  if (ops->struct_size < size)
    refuse(fmt::format("table `{}` says that it has {} bytes, at least {} are needed{}", name, ops->struct_size, size,
                       kMend));
  for (const auto& [function, there] : functions(*ops))
    if (!there) refuse(fmt::format("table `{}` lacks the function {}{}", name, function, kMend));
}

}  // namespace

std::string wrong_major(std::string_view major) {
  return fmt::format("is built for ABI major {}, this host speaks {}; build it against this host's header", major,
                     IPCS_ABI_MAJOR);
}

std::string wrong_name(std::string_view name) {
  return fmt::format("has the name \"{}\"; a name is a lower-case letter and up to 31 of a-z, 0-9 and -",
                     one_line(name, 60));
}

void check_plugin_header(const ipcs_plugin& plugin) {
  if (plugin.magic != IPCS_ABI_MAGIC)
    refuse(fmt::format("has the magic number {:#018x} instead of {:#018x}{}", plugin.magic, IPCS_ABI_MAGIC, kMend));
  if (plugin.abi_major != IPCS_ABI_MAJOR) refuse(wrong_major(std::to_string(plugin.abi_major)));
  if (plugin.struct_size < kPluginSize)
    refuse(fmt::format("its ipcs_plugin says that it has {} bytes, at least {} are needed{}", plugin.struct_size,
                       kPluginSize, kMend));
}

void check_plugin(const ipcs_plugin& plugin) {
  check_plugin_header(plugin);
  if (plugin.name == nullptr) refuse(wrong_name(""));
  // A text that is no text must not be read to the end of the world.
  const std::string_view name(plugin.name, ::strnlen(plugin.name, 64));
  if (!valid_plugin_name(name)) refuse(wrong_name(name));
  for (const auto& [what, text] : {std::pair{"version", plugin.version}, std::pair{"description", plugin.description},
                                   std::pair{"build", plugin.build}})
    if (text == nullptr) refuse(fmt::format("has no {}{}", what, kMend));
  if (plugin.validate == nullptr) refuse(std::string("lacks the function validate") + kMend);
  if (plugin.open == nullptr) refuse(std::string("lacks the function open") + kMend);

#define HAS(member) Function(#member, ops.member != nullptr)
  check_table("store", plugin.store, kStoreOpsSize, [](const ipcs_store_ops& ops) {
    return std::vector<Function>{HAS(close),          HAS(info),        HAS(stat_blob),   HAS(open_blob),
                                 HAS(list_blobs),     HAS(remove_blob), HAS(open_ingest), HAS(list_ingests),
                                 HAS(discard_ingest), HAS(extension)};
  });
  check_table("reader", plugin.reader, kReaderOpsSize, [](const ipcs_reader_ops& ops) {
    return std::vector<Function>{HAS(close), HAS(size), HAS(read_at)};
  });
  check_table("ingest", plugin.ingest, kIngestOpsSize, [](const ipcs_ingest_ops& ops) {
    return std::vector<Function>{HAS(close), HAS(size), HAS(read_at), HAS(append), HAS(truncate), HAS(commit)};
  });
  check_table("cursor", plugin.cursor, kCursorOpsSize, [](const ipcs_cursor_ops& ops) {
    return std::vector<Function>{HAS(close), HAS(next)};
  });
#undef HAS
}

}  // namespace ipcs::loader
