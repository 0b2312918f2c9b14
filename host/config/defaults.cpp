// What holds when nobody says anything, and the commented file that says so.
#include <fmt/format.h>

#include <filesystem>

#include "config/config.hpp"
#include "config/toml_text.hpp"

namespace ipcs::config {
namespace {

namespace fs = std::filesystem;

std::string below(const std::string& directory, const char* name) {
  return directory.empty() ? std::string() : (fs::path(directory) / name).string();
}

// Plugins lie next to the program: <prefix>/bin/ipcsd has <prefix>/lib/ipcs/plugins, or the library directory that the
// installation was made with. Of the two those that are there, or the first.
std::vector<std::string> default_plugin_dirs(const Environment& environment) {
  if (environment.executable.empty()) return {};
  const fs::path prefix = fs::path(environment.executable).parent_path().parent_path();
  const std::string plain = (prefix / "lib/ipcs/plugins").string();
  const std::string installed = (prefix / IPCS_LIBDIR / "ipcs/plugins").string();
  std::vector<std::string> present;
  std::error_code ignored;  // what can't be looked at is as good as absent
  if (fs::is_directory(plain, ignored)) present.push_back(plain);
  if (installed != plain && fs::is_directory(installed, ignored)) present.push_back(installed);
  return present.empty() ? std::vector{plain} : present;
}

constexpr std::string_view kText =
    R"(# Configuration of ipcsd. Every key is here with its default; what has none is commented out.
# Flags win over the environment (IPCS_ROOT, IPCS_ADDRESS, …), the environment wins over this file.
# `ipcsd config check FILE` checks a file. Paths are absolute.

# The version of this format.
version = 1

# The daemon's own state: the catalog, scratch space and, unless [plugins.local] says otherwise, the blobs.
{root}root = {root_value}

# Where backends are looked for; next to the program when not set.
# plugin_dirs = {plugin_dirs}

# The plugin that stores the blobs.
backend = {backend}

# The backend that was in use before, with its own table below: it is read for what the new one still lacks, until
# `ipcsctl backend copy` has copied that over. Nothing in it is changed.
# previous = "local"

# Bytes a second at which ipcsd itself copies what `previous` alone has, a quarter of it while clients read or write:
# "16MiB"; "0": only `ipcsctl backend copy` copies.
copy_rate = "0"

# Blobs found in a store without a catalog: "operator" pins them, "containerd" leaves them to containerd's garbage
# collection.
adopt = "operator"

# How long containerd's question for a blob that is not here may be taken to the network, by backends that have one:
# "100ms", "1s", at most "10s"; "0" turns it off. containerd waits meanwhile, and then downloads the blob itself.
look_up_timeout = "100ms"

# A socket for one containerd. More containerds get more of these tables, each with a name and address of its own; blobs
# that one of them deletes stay for the others.
{grpc}[[grpc]]
{grpc}name = {grpc_name}
{grpc}address = {grpc_address}
# uid = 0         # owner of the socket, a number or a name; the daemon's own when not set
# gid = 0
{grpc}mode = "0600"

# The operator's socket, for ipcsctl. What is written through it is pinned.
{control}[control]
{control}address = {control_address}
# uid = 0
# gid = 0
{control}mode = "0600"

# A socket for containerd's diff plugin: ipcsd unpacks layers itself, next to their bytes. Off when empty, e.g.
# "/run/ipcs/diff.sock". It is root's alone, mode 0600: whoever can connect can write to any file. ipcsd must be in
# containerd's mount namespace; host/diff/README.md tells what else it needs.
[diff]
address = ""
# What a layer may have uncompressed, e.g. "64GiB"; "0" is no limit.
max_size = "0"

# Prometheus metrics at /metrics, and /livez and /readyz, over HTTP; off when empty, e.g. "127.0.0.1:9095".
[metrics]
address = ""

# An OpenTelemetry collector that takes OTLP over gRPC without TLS, e.g. "127.0.0.1:4317"; off when empty. It gets a span for
# each request of a trace that containerd samples.
[trace]
address = ""

# Lines on standard error. level: debug, info, warn or error; format: text (logfmt) or json.
[log]
level = "info"
format = "text"

# Each plugin has a table of its own and checks it; `ipcsctl plugin info NAME` tells what it knows.
[plugins.local]
# path = {local_path}  # the directory that holds blobs/<algorithm>/<digits>

# For backend = "ipfs-http", a Kubo. One that still has its blobs in the local store also says previous = "local".
# [plugins.ipfs-http]
# api = "/ip4/127.0.0.1/tcp/5001"  # of Kubo's RPC; a multiaddr or URL; otherwise $IPFS_PATH/api or ~/.ipfs/api says it
# auth = "bearer TOKEN"            # or "basic USER:PASSWORD"
# ca = "/etc/ipcs/kubo-ca.pem"     # for an https address: certificates of authorities to believe besides the system's
# prefix = "/ipcs"                 # where blobs are listed in Kubo's MFS
)";

}  // namespace

Config defaults(const Environment& environment) {
  Config config;
  std::string sockets = "/run/ipcs";
  config.root = "/var/lib/ipcs";
  if (environment.rootless()) {
    config.root = below(environment.directory("XDG_DATA_HOME", below(environment.home, ".local/share")), "ipcs");
    sockets = below(environment.directory("XDG_RUNTIME_DIR", ""), "ipcs");
  }
  config.plugin_dirs = default_plugin_dirs(environment);
  config.backend = "local";
  config.grpc = {
      Socket{.name = std::string(kDefaultClient), .address = below(sockets, "ipcs.sock"), .uid = {}, .gid = {}}};
  config.control =
      Socket{.name = std::string(kOperatorClient), .address = below(sockets, "control.sock"), .uid = {}, .gid = {}};
  config.diff.name = std::string(kDiffClient);
  config.plugins["local"] = "{}";
  return config;
}

std::string default_file(const Environment& environment) {
  if (!environment.rootless()) return "/etc/ipcs/config.toml";
  return below(environment.directory("XDG_CONFIG_HOME", below(environment.home, ".config")), "ipcs/config.toml");
}

std::string default_text(const Environment& environment) {
  const Config config = defaults(environment);
  const Socket& grpc = config.grpc.front();
  // What is not known here can't be a default: its lines are examples.
  const auto lead = [](const std::string& value) { return value.empty() ? "# " : ""; };
  const auto path = [](const std::string& value, const char* example) {
    return toml_string(value.empty() ? example : value);
  };
  return fmt::format(
      kText, fmt::arg("root", lead(config.root)), fmt::arg("root_value", path(config.root, "/var/lib/ipcs")),
      fmt::arg("plugin_dirs", toml_array(config.plugin_dirs)), fmt::arg("backend", toml_string(config.backend)),
      fmt::arg("grpc", lead(grpc.address)), fmt::arg("grpc_name", toml_string(grpc.name)),
      fmt::arg("grpc_address", path(grpc.address, "/run/ipcs/ipcs.sock")),
      fmt::arg("control", lead(config.control.address)),
      fmt::arg("control_address", path(config.control.address, "/run/ipcs/control.sock")),
      fmt::arg("local_path", path(below(config.root, "local"), "/var/lib/ipcs/local")));
}

}  // namespace ipcs::config
