// The host's services for one plugin instance, as a C table over C++ sinks.
#pragma once

#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <string_view>

#include "ipcs/content_store.h"
#include "log/log.hpp"

namespace ipcs::loader {

// Where a plugin's words go. The callbacks run on any thread, also on the plugin's own, must not block for long and
// must not call the plugin; empty ones drop everything.
struct HostServices {
  log::Log log = log::Log::none();
  std::function<void(std::string_view name, ipcs_metric_kind kind, double value)> metric;
  std::string scratch_dir;  // emptied, or made, before open(); empty: the plugin gets none
};

// The table that validate() and open() get. Neither copied nor moved: the plugin keeps its address until close().
class HostTable {
 public:
  HostTable(std::string plugin_name, HostServices services);
  HostTable(const HostTable&) = delete;
  HostTable& operator=(const HostTable&) = delete;

  const ipcs_host* abi() const noexcept { return &table_; }

  // Makes scratch_dir an empty directory of mode 0700 and hands it to the plugin from now on. Throws Error naming it:
  // kFailedPrecondition, also when it exists and is a symbolic link or no directory.
  void prepare_scratch();

 private:
  static HostTable& self(const ipcs_host* host) noexcept { return *static_cast<HostTable*>(host->host_data); }
  void log(const ipcs_call* call, int32_t level, std::string_view message) const;
  void metric(std::string_view name, int32_t kind, double value);
  void warn_once(const std::string& message);

  const std::string plugin_;
  const HostServices services_;
  std::mutex mutex_;
  std::set<std::string> warned_;  // guarded by mutex_; bounded
  ipcs_host table_{};
};

}  // namespace ipcs::loader
