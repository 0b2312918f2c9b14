// Checks of a plugin's struct and tables against ABI version 1.0, the least that a host of major 1 needs.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "ipcs/content_store.h"

namespace ipcs::loader {

// Sizes in version 1.0. Later minors only add members behind these.
inline constexpr size_t kPluginSize = offsetof(ipcs_plugin, cursor) + sizeof(void*);
inline constexpr size_t kStoreOpsSize = offsetof(ipcs_store_ops, extension) + sizeof(void*);
inline constexpr size_t kReaderOpsSize = offsetof(ipcs_reader_ops, read_at) + sizeof(void*);
inline constexpr size_t kIngestOpsSize = offsetof(ipcs_ingest_ops, commit) + sizeof(void*);
inline constexpr size_t kCursorOpsSize = offsetof(ipcs_cursor_ops, next) + sizeof(void*);

// Checks magic, struct_size and major version; reads nothing behind abi_minor. Throws Error kFailedPrecondition with
// what is wrong and the mend, without the file's name.
void check_plugin_header(const ipcs_plugin& plugin);

// Checks a loaded plugin: header, name, texts, tables and functions. Throws as check_plugin_header does.
void check_plugin(const ipcs_plugin& plugin);

// The refusals that can be found in the file as well as in the loaded plugin.
std::string wrong_major(std::string_view major);
std::string wrong_name(std::string_view name);

}  // namespace ipcs::loader
