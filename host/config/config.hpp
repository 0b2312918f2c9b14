// The daemon's configuration: one file, environment and command line laid over each other.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/environment.hpp"
#include "log/log.hpp"

namespace ipcs::config {

// What becomes of blobs that are found in a store without a catalog.
enum class Adopt {
  kOperator,    // they are pinned: nobody's garbage collection takes them
  kContainerd,  // the first client claims them, and its garbage collection decides
};

// A listening unix socket.
struct Socket {
  std::string name;          // of the client behind it
  std::string address;       // absolute path, at most 107 bytes
  std::optional<uid_t> uid;  // nothing: the daemon's own
  std::optional<gid_t> gid;
  mode_t mode = 0600;

  friend bool operator==(const Socket&, const Socket&) = default;
};

inline constexpr std::string_view kDefaultClient = "containerd";
inline constexpr std::string_view kOperatorClient = "operator";
inline constexpr std::string_view kDiffClient = "diff";

// The configuration in force. Paths are absolute. A value.
struct Config {
  std::string root;                      // the daemon's state
  std::vector<std::string> plugin_dirs;  // where backends are looked for, in this order
  std::string backend;                   // a plugin's name
  std::string previous;                  // the backend before it, empty: none
  Adopt adopt = Adopt::kOperator;
  std::chrono::milliseconds look_up_timeout{100};  // of a search for an unknown blob on the network; 0: none
  uint64_t copy_rate = 0;       // bytes a second at which `previous` is copied in the background; 0: not at all
  std::vector<Socket> grpc;     // at least one; names and addresses differ
  Socket control;               // named "operator"
  Socket diff;                  // of the diff service; no address: off
  uint64_t diff_max_size = 0;   // bytes of a layer that is unpacked; 0: no limit
  std::string metrics_address;  // host:port, empty: off
  std::string trace_address;    // of an OpenTelemetry collector, host:port, empty: none
  log::Level log_level = log::Level::kInfo;
  log::Format log_format = log::Format::kText;
  std::map<std::string, std::string> plugins;  // name → its table as a JSON object
  std::string file;                            // that was read, for messages; empty: none

  friend bool operator==(const Config&, const Config&) = default;
};

// What one source says; a member without a value says nothing.
struct Settings {
  std::optional<std::string> root, backend, previous, metrics_address, trace_address;
  std::optional<std::vector<std::string>> plugin_dirs;
  std::optional<Adopt> adopt;
  std::optional<std::chrono::milliseconds> look_up_timeout;
  std::optional<uint64_t> copy_rate;
  std::vector<Socket> grpc;
  std::optional<Socket> control;                        // an empty address: the default one
  std::optional<std::string> address, control_address;  // of the one gRPC socket and of the control socket alone
  std::optional<std::string> diff_address;
  std::optional<uint64_t> diff_max_size;
  std::optional<log::Level> log_level;
  std::optional<log::Format> log_format;
  std::map<std::string, std::string> plugins;
};

// Parses the text of a file. `file_name` is for messages. Pure but for looking up user and group names. Throws Error
// kInvalidArgument; its message has a line `file:line: problem` for every problem of the file, in their order.
Settings parse(std::string_view text, const std::string& file_name);

// The text of a file of at most 1 MiB. Throws Error naming the path: kNotFound, kPermissionDenied, kInvalidArgument.
std::string read_text(const std::string& path);

// Reads and parses a file of at most 1 MiB. Throws Error as parse() does, or naming the path: kNotFound,
// kPermissionDenied, kInvalidArgument.
Settings load(const std::string& path);

// The configuration when nobody says anything. A rootless one (euid other than 0) lies below the user's home and
// $XDG_RUNTIME_DIR; root and addresses are empty where those are not known.
Config defaults(const Environment& environment);

// Lays flags over environment over file over defaults. A root from flags or environment takes the control socket along,
// unless somebody set that. Throws Error kInvalidArgument when something needed is missing or sockets collide.
Config resolve(const Settings& file, const Settings& variables, const Settings& flags, const Environment& environment);

// The file that is read when none is named: /etc/ipcs/config.toml, rootless ~/.config/ipcs/config.toml; empty when the
// user's home is not known.
std::string default_file(const Environment& environment);

// A commented file with every key, which parses to the defaults.
std::string default_text(const Environment& environment);

// The configuration of the plugin `name` as a JSON object: its table, and for "local" the `path` <root>/local unless
// the table has one.
std::string plugin_json(const Config& config, const std::string& name);

// The same from a TOML text that is the plugin's table alone, with `settings` laid over it. A setting is "key=value",
// the key may be dotted, and a value that is not TOML is a string. Throws Error kInvalidArgument.
std::string plugin_json(std::string_view text, const std::string& file_name, const std::vector<std::string>& settings);

// What a plugin said of its table in the file `text`, with `file:line: ` in front: the line of the key that the message
// names, else where the table begins. The message as it is when the file has no such table. Throws Error as parse() does.
std::string plugin_problem(std::string_view text, const std::string& file_name, const std::string& plugin,
                           const std::string& message);

// What is wrong with `value`, which the key `key` at the top of the file `text` has, with `file:line: ` in front. The
// message as it is when the key is not there or has another value: a flag or a variable gave this one. Throws Error as
// parse() does.
std::string key_problem(std::string_view text, const std::string& file_name, std::string_view key, std::string_view value,
                        const std::string& message);

}  // namespace ipcs::config
