// Reads the file, and lays the sources of settings over each other.
#include "config/config.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "config/values.hpp"
#include "ipcs/error.hpp"

namespace ipcs::config {
namespace {

constexpr size_t kFileMax = 1 << 20;  // bytes

[[noreturn]] void refuse(const std::string& message) {
  throw Error(Code::kInvalidArgument, message);
}

[[noreturn]] void fail(const std::string& path, int number) {
  Code code = Code::kInvalidArgument;
  if (number == ENOENT || number == ENOTDIR) code = Code::kNotFound;
  if (number == EACCES || number == EPERM) code = Code::kPermissionDenied;
  throw Error(code, path + ": " + std::strerror(number));
}

struct Descriptor {
  explicit Descriptor(int number) : fd(number) {}
  Descriptor(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
  int fd;
};

template <class T>
void lay(T& target, const std::optional<T>& value) {
  if (value) target = *value;
}

void lay(Config& config, const Settings& settings) {
  lay(config.root, settings.root);
  lay(config.plugin_dirs, settings.plugin_dirs);
  lay(config.backend, settings.backend);
  lay(config.previous, settings.previous);
  lay(config.adopt, settings.adopt);
  lay(config.look_up_timeout, settings.look_up_timeout);
  lay(config.copy_rate, settings.copy_rate);
  lay(config.metrics_address, settings.metrics_address);
  lay(config.trace_address, settings.trace_address);
  lay(config.log_level, settings.log_level);
  lay(config.log_format, settings.log_format);
  if (!settings.grpc.empty()) config.grpc = settings.grpc;
  if (settings.address) {
    // Claims belong to the socket's name, which stays: so there must be one socket whose address changes.
    if (config.grpc.size() != 1) {
      refuse(
          fmt::format("--address (IPCS_ADDRESS) is for one gRPC socket, but the configuration has {}: change the "
                      "addresses there",
                      config.grpc.size()));
    }
    config.grpc[0].address = *settings.address;
  }
  if (settings.control) {
    const std::string address = std::move(config.control.address);
    config.control = *settings.control;
    if (config.control.address.empty()) config.control.address = address;
  }
  lay(config.control.address, settings.control_address);
  lay(config.diff.address, settings.diff_address);
  lay(config.diff_max_size, settings.diff_max_size);
  for (const auto& [name, json] : settings.plugins) config.plugins[name] = json;
}

// A default address is made from directories of any length, so its own length is checked here.
void check_address(const Socket& socket, std::string_view kind, std::string_view flag) {
  if (socket.address.empty())
    refuse(fmt::format("no address for the {} socket: XDG_RUNTIME_DIR is not set; give {}", kind, flag));
  try {
    to_socket_path(socket.address);
  } catch (const Error& error) {
    refuse(fmt::format("the address of the {} socket {}; give {}", kind, error.what(), flag));
  }
}

// The checks that need the whole.
void check(const Config& config) {
  if (config.root.empty()) refuse("no root directory: neither XDG_DATA_HOME nor the user's home is known; give --root");
  if (config.plugin_dirs.empty()) refuse("no plugin directory: give --plugin-dir");
  if (config.previous == config.backend)
    refuse(
        fmt::format("backend and previous are both {}; previous names the one before it", in_quotes(config.backend)));
  std::map<std::string, std::string> owners;  // address → client
  for (const Socket& socket : config.grpc) {
    check_address(socket, "gRPC", "--address");
    const auto [owner, fresh] = owners.emplace(socket.address, socket.name);
    if (!fresh)
      refuse(fmt::format("the sockets of {} and {} have one address: {}", owner->second, socket.name, socket.address));
  }
  check_address(config.control, "control", "--control");
  if (const auto owner = owners.find(config.control.address); owner != owners.end())
    refuse(fmt::format("the control socket and that of {} have one address: {}", owner->second, owner->first));
  if (config.diff.address.empty()) return;
  if (const auto owner = owners.find(config.diff.address); owner != owners.end())
    refuse(fmt::format("the diff socket and that of {} have one address: {}", owner->second, owner->first));
  if (config.diff.address == config.control.address)
    refuse("the diff socket and the control socket have one address: " + config.control.address);
}

}  // namespace

std::string read_text(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.fd < 0) fail(path, errno);
  std::string text(kFileMax + 1, '\0');
  size_t size = 0;
  while (size < text.size()) {
    const ssize_t got = ::read(file.fd, text.data() + size, text.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(path, errno);
    if (got == 0) break;
    size += static_cast<size_t>(got);
  }
  if (size > kFileMax) refuse(path + ": the file is larger than 1 MiB");
  text.resize(size);
  return text;
}

Settings load(const std::string& path) {
  return parse(read_text(path), path);
}

Config resolve(const Settings& file, const Settings& variables, const Settings& flags, const Environment& environment) {
  Config config = defaults(environment);
  // A private root is a private daemon: its control socket must not be the packaged daemon's.
  const std::optional<std::string>& moved = flags.root ? flags.root : variables.root;
  if (moved) config.control.address = (std::filesystem::path(*moved) / "control.sock").string();
  for (const Settings* layer : {&file, &variables, &flags}) lay(config, *layer);
  check(config);
  return config;
}

}  // namespace ipcs::config
