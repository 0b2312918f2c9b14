// Single values as a file, the environment and the command line write them.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "log/log.hpp"

namespace ipcs::config {

// All functions here throw Error kInvalidArgument whose message is a predicate ("wants an absolute path, not \"x\""):
// the caller puts in front of it what was set, and where.

inline constexpr size_t kSocketPathMax = 107;  // sun_path less its NUL

// `text` with everything but printable ASCII escaped as \x…, so that it stays on its line.
std::string one_line(std::string_view text);

// `text` in double quotes, cut to 80 bytes, escaped as by one_line().
std::string in_quotes(std::string_view text);

// An absolute path without "." and ".." parts or a slash at its end. Refuses an empty or relative one, and NUL and
// control characters.
std::string to_path(std::string_view text);

// The path of a unix socket, with or without "unix://" in front, as to_path, of at most kSocketPathMax bytes.
std::string to_socket_path(std::string_view text);

// "host:port" with an IPv4 address or a host name, port 1 to 65535. Empty: off. (Debian's civetweb has no IPv6.)
std::string to_host_port(std::string_view text);

// The name of a plugin: [a-z][a-z0-9-]{0,31}.
std::string to_plugin_name(std::string_view text);

// The name of a client: [a-z][a-z0-9-]{0,31}, not "operator".
std::string to_client_name(std::string_view text);

// "250ms", "1s" or "0", at most ten seconds.
std::chrono::milliseconds to_look_up_timeout(std::string_view text);

// A number of bytes: digits, then KiB, MiB, GiB, TiB or nothing.
uint64_t to_size(std::string_view text);

// File permissions in octal, "0660" or "0o660", at most 0777.
mode_t to_mode(std::string_view text);

log::Level to_level(std::string_view text);
log::Format to_format(std::string_view text);

// The id of a user or group by its name; digits are the id itself.
uid_t to_uid(std::string_view text);
gid_t to_gid(std::string_view text);

}  // namespace ipcs::config
