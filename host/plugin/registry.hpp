// The plugins found in the plugin directories, and the choice of one by name.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "log/log.hpp"
#include "plugin/elf_peek.hpp"
#include "plugin/loader.hpp"
#include "plugin/probe.hpp"
#include "plugin/trust.hpp"

namespace ipcs::loader {

enum class PluginState {
  kUsable,    // as far as its file tells
  kShadowed,  // an earlier file has the same name
  kRefused,
};

// A *.so file in a plugin directory. None of its code has run.
struct PluginFile {
  std::string path;
  std::string name;   // from the file's data; its stem where that can't be read
  PluginFacts facts;  // empty when refused
  PluginState state = PluginState::kUsable;
  std::string reason;  // one line: why it is refused or by which file it is shadowed
};

// "ok", "shadowed" or "refused", for lists.
const char* state_name(PluginState state) noexcept;

// A snapshot of the plugin directories; immutable.
class Registry {
 public:
  // Reads all of `dirs`, each in the order of its files' names. A file whose name an earlier one has is shadowed, also
  // by one that is refused: a broken override must not quietly give way to what it overrides. Files whose names begin
  // with a dot are passed over. Never throws for what it finds; a directory that does not exist is as good as empty.
  static Registry scan(const std::vector<std::string>& dirs, const Identity& identity);

  const std::vector<PluginFile>& files() const noexcept { return files_; }

  // One line for each thing that is wrong, without repetitions; the files that select() would refuse for one of the
  // names `selected` are left out, since select() says so itself.
  std::vector<std::string> warnings(const std::vector<std::string>& selected) const;
  void warn(const log::Log& log, const std::vector<std::string>& selected) const;

  // The file of the plugin `name`, which the configuration has under `key`. Throws Error: kInvalidArgument when there is
  // none (naming those there are and the nearest), kFailedPrecondition when it is refused.
  const PluginFile& select(const std::string& name, std::string_view key = "backend") const;

  // Selects, probes and loads a plugin and checks its configuration. Throws as select(), probe() and
  // LoadedPlugin::load() do.
  LoadedPlugin load(const std::string& name, const std::string& config_json, const ProbeOptions& options) const;

 private:
  void scan_dir(const std::string& dir, const Identity& identity);
  void add(const std::string& path, const Identity& identity);

  std::vector<std::string> dirs_;
  std::vector<PluginFile> files_;
  std::vector<std::string> dir_warnings_;
};

}  // namespace ipcs::loader
