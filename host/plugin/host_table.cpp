// The host's services for one plugin instance, as a C table over C++ sinks.
#include "plugin/host_table.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <system_error>
#include <utility>

#include "ipcs/error.hpp"
#include "ipcs/store.hpp"
#include "plugin/one_line.hpp"

namespace ipcs::loader {
namespace {

constexpr size_t kMaxWarnings = 32;  // different misuses of one plugin that are logged

std::string_view view(ipcs_str text) noexcept {
  return {text.data, text.data != nullptr ? text.size : 0};
}

bool valid_metric(std::string_view name) noexcept {
  return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

log::Level to_level(int32_t level) noexcept {
  if (level <= IPCS_LOG_DEBUG) return log::Level::kDebug;
  if (level == IPCS_LOG_INFO) return log::Level::kInfo;
  return level == IPCS_LOG_WARN ? log::Level::kWarn : log::Level::kError;
}

// W3C form of a trace id; empty when there is none.
std::string trace_of(const ipcs_call* call) {
  if (call == nullptr) return {};
  if (std::all_of(std::begin(call->trace_id), std::end(call->trace_id), [](uint8_t byte) { return byte == 0; }))
    return {};
  std::string hex;
  for (const uint8_t byte : call->trace_id) hex += fmt::format("{:02x}", byte);
  return hex;
}

// A sink's exception must not unwind through the plugin's frames, which may be C.
template <class Body>
void contain(Body&& body) noexcept {
  try {
    body();
  } catch (...) {
    // What a plugin says about itself is never worth more than the call that it is made in.
  }
}

}  // namespace

HostTable::HostTable(std::string plugin_name, HostServices services)
    : plugin_(std::move(plugin_name)), services_(std::move(services)) {
  table_.struct_size = sizeof table_;
  table_.abi_major = IPCS_ABI_MAJOR;
  table_.abi_minor = IPCS_ABI_MINOR;
  table_.name = "ipcsd";
  table_.version = IPCS_VERSION;
  table_.host_data = this;
  table_.log = [](const ipcs_host* host, const ipcs_call* call, int32_t level, ipcs_str message) {
    contain([&] { self(host).log(call, level, view(message)); });
  };
  table_.metric = [](const ipcs_host* host, ipcs_str name, int32_t kind, double value) {
    contain([&] { self(host).metric(view(name), kind, value); });
  };
  table_.progress = [](const ipcs_host*, const ipcs_call* call, ipcs_str subject, uint64_t done, uint64_t total) {
    contain([&] { Call::report(call, view(subject), done, total); });
  };
  table_.extension = [](const ipcs_host*, const char*) -> const void* { return nullptr; };
}

void HostTable::prepare_scratch() {
  if (services_.scratch_dir.empty()) return;
  namespace fs = std::filesystem;
  const fs::path dir = services_.scratch_dir;
  std::error_code error;
  const auto fail = [&](const std::string& why) {
    throw Error(Code::kFailedPrecondition, fmt::format("scratch directory {}: {}", dir.string(), why));
  };
  // A link could lead the emptying anywhere.
  const fs::file_status status = fs::symlink_status(dir, error);
  if (fs::exists(status) && !fs::is_directory(status)) fail("exists and is not a directory");
  fs::create_directories(dir, error);
  if (error) fail("cannot be made: " + error.message());
  if (::chmod(dir.c_str(), 0700) != 0) fail("cannot be given mode 0700");
  for (const fs::directory_entry& entry : fs::directory_iterator(dir, error)) {
    fs::remove_all(entry.path(), error);
    if (error) break;
  }
  if (error) fail("cannot be emptied: " + error.message());
  table_.scratch_dir = services_.scratch_dir.c_str();
}

void HostTable::log(const ipcs_call* call, int32_t level, std::string_view message) const {
  const log::Level to = to_level(level);
  if (!services_.log.enabled(to)) return;
  const std::string line = one_line(message, 4000);
  const std::string trace = trace_of(call);
  if (trace.empty())
    services_.log.write(to, line, {{"plugin", plugin_}});
  else
    services_.log.write(to, line, {{"plugin", plugin_}, {"trace_id", trace}});
}

void HostTable::metric(std::string_view name, int32_t kind, double value) {
  if (!valid_metric(name)) return warn_once("metric \"" + one_line(name, 80) + "\": not [a-z0-9_]{1,64}, dropped");
  const bool counter = kind == IPCS_METRIC_COUNTER;
  if ((!counter && kind != IPCS_METRIC_GAUGE) || std::isnan(value) ||
      (counter && !(value >= 0 && std::isfinite(value))))
    return warn_once(fmt::format("metric {}: kind {} with value {} makes no sense, dropped", name, kind, value));
  if (services_.metric) services_.metric(name, static_cast<ipcs_metric_kind>(kind), value);
}

void HostTable::warn_once(const std::string& message) {
  {
    const std::lock_guard lock(mutex_);
    if (warned_.size() >= kMaxWarnings || !warned_.insert(message).second) return;
  }
  services_.log.warn(message, {{"plugin", plugin_}});
}

}  // namespace ipcs::loader
