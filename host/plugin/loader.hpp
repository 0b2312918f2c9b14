// A plugin in this process: loaded, checked against the ABI, and opened with a deadline.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "ipcs/store.hpp"
#include "plugin/host_table.hpp"

namespace ipcs::loader {

// What open() needs.
struct OpenRequest {
  std::string config_json;  // has passed validate()
  bool read_only = false;
  Call::Clock::time_point deadline = Call::Clock::time_point::max();
  std::chrono::milliseconds grace = std::chrono::seconds(2);  // for a plugin that notices the deadline late
  HostServices services;
};

// A loaded plugin. Cheap to copy. Its code stays in the process for good: the library is opened with RTLD_NODELETE,
// since a plugin may have left threads, atexit handlers or thread-local destructors behind. All functions are
// [thread-safe].
class LoadedPlugin {
 public:
  // Loads `path` (RTLD_NOW | RTLD_LOCAL) and checks its struct and tables. Throws Error kFailedPrecondition naming the
  // file. Runs the file's constructors: a hostile or broken file is peek()ed and probe()d first. A path without a slash
  // is one in the current directory.
  static LoadedPlugin load(const std::string& path);

  std::string name() const { return plugin_->name; }
  const std::string& path() const noexcept { return path_; }
  const ipcs_plugin& table() const noexcept { return *plugin_; }

  // Checks a configuration, the plugin's subtree as a JSON object, without side effects. Throws Error with the plugin's
  // code and text; kInternal when it lets an exception out.
  void validate(const std::string& config_json, const HostServices& services) const;

  // Opens the store after emptying the scratch directory. Throws Error naming the plugin: its own code and text,
  // kInternal when it breaks the contract, kDeadlineExceeded when it is still not done `grace` after the deadline.
  //
  // open() runs on a thread of its own. One that hangs cannot be ended, so the thread is left behind with all that it
  // may touch; should it come back with a store after all, it closes it. After kDeadlineExceeded end the process
  // with _exit: destructors of static objects would run under that thread's feet. A crash in open() is one line on
  // standard error and exit status 1. Opens are one after the other in a process.
  Store open(OpenRequest request) const;

 private:
  LoadedPlugin(std::shared_ptr<const void> library, const ipcs_plugin* plugin, std::string path)
      : library_(std::move(library)), plugin_(plugin), path_(std::move(path)) {}

  std::shared_ptr<const void> library_;
  const ipcs_plugin* plugin_;
  std::string path_;
};

}  // namespace ipcs::loader
