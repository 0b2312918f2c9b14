// The plugins found in the plugin directories, and the choice of one by name.
#include "plugin/registry.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <set>
#include <system_error>

#include "ipcs/error.hpp"

namespace ipcs::loader {
namespace {

namespace fs = std::filesystem;

// Edits that turn one word into the other (Levenshtein).
size_t distance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] != b[j - 1] ? 1 : 0);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[b.size()];
}

// The word that was probably meant, empty when none is near.
std::string nearest(const std::string& word, const std::vector<std::string>& among) {
  std::string best;
  size_t best_distance = std::max<size_t>(word.size() / 3, 1) + 1;
  for (const std::string& candidate : among) {
    const size_t d = distance(word, candidate);
    if (d < best_distance) {
      best = candidate;
      best_distance = d;
    }
  }
  return best;
}

}  // namespace

const char* state_name(PluginState state) noexcept {
  switch (state) {
    case PluginState::kUsable:
      return "ok";
    case PluginState::kShadowed:
      return "shadowed";
    case PluginState::kRefused:
      return "refused";
  }
  return "unknown";
}

Registry Registry::scan(const std::vector<std::string>& dirs, const Identity& identity) {
  Registry registry;
  registry.dirs_ = dirs;
  for (const std::string& dir : dirs) registry.scan_dir(dir, identity);
  return registry;
}

void Registry::scan_dir(const std::string& dir, const Identity& identity) {
  std::error_code error;
  std::vector<std::string> paths;
  for (fs::directory_iterator it(dir, error), end; !error && it != end; it.increment(error)) {
    const fs::path& path = it->path();
    if (path.extension() == ".so" && path.filename().native().front() != '.') paths.push_back(path.string());
  }
  if (error && error != std::errc::no_such_file_or_directory)
    dir_warnings_.push_back(fmt::format("plugin directory {}: {}", dir, error.message()));
  std::sort(paths.begin(), paths.end());
  for (const std::string& path : paths) add(path, identity);
}

void Registry::add(const std::string& path, const Identity& identity) {
  PluginFile file;
  file.path = path;
  file.name = fs::path(path).stem().string();
  const auto refuse = [&](const std::string& reason) {
    file.state = PluginState::kRefused;
    file.reason = reason;
  };
  try {
    file.facts = peek(path);
    if (!file.facts.name.empty()) file.name = file.facts.name;
  } catch (const std::exception& e) {
    refuse(e.what());
  }
  // After the peek, which runs nothing, so that the refusal is found under the plugin's own name.
  // The directory is judged as one that holds plugins, too: sticky, as /tmp is, will not do for it.
  if (const auto reason = distrust(path, identity)) {
    refuse(*reason);
  } else if (const auto of_directory = distrust(fs::path(path).parent_path().string(), identity)) {
    refuse(*of_directory);
  }

  const auto earlier = std::find_if(files_.begin(), files_.end(), [&](const PluginFile& other) {
    return other.name == file.name && other.state != PluginState::kShadowed;
  });
  if (earlier != files_.end() && file.state == PluginState::kUsable) {
    file.state = PluginState::kShadowed;
    file.reason = fmt::format("{}: plugin {} is taken from {} instead", path, file.name, earlier->path);
  }
  files_.push_back(std::move(file));
}

std::vector<std::string> Registry::warnings(const std::vector<std::string>& selected) const {
  std::vector<std::string> lines = dir_warnings_;
  std::set<std::string> names;
  for (const PluginFile& file : files_) {
    const bool first = names.insert(file.name).second;
    const bool chosen = std::find(selected.begin(), selected.end(), file.name) != selected.end();
    if (file.reason.empty() || (first && chosen)) continue;
    // A directory that others can write is at fault for all the files in it, but once.
    if (std::find(lines.begin(), lines.end(), file.reason) == lines.end()) lines.push_back(file.reason);
  }
  return lines;
}

void Registry::warn(const log::Log& log, const std::vector<std::string>& selected) const {
  for (const std::string& line : warnings(selected)) log.warn(line);
}

const PluginFile& Registry::select(const std::string& name, std::string_view key) const {
  const auto found =
      std::find_if(files_.begin(), files_.end(), [&](const PluginFile& file) { return file.name == name; });
  if (found != files_.end() && found->state == PluginState::kUsable) return *found;
  if (found != files_.end()) throw Error(Code::kFailedPrecondition, found->reason);

  std::vector<std::string> names;
  for (const PluginFile& file : files_)
    if (file.state == PluginState::kUsable) names.push_back(file.name);
  std::sort(names.begin(), names.end());
  const std::string meant = nearest(name, names);
  throw Error(Code::kInvalidArgument,
              fmt::format("{} \"{}\": no such plugin in {} (there {}{})", key, name,
                          dirs_.empty() ? "an empty list of directories" : fmt::format("{}", fmt::join(dirs_, ", ")),
                          names.empty() ? "is none" : fmt::format("are: {}", fmt::join(names, ", ")),
                          meant.empty() ? "" : fmt::format("; did you mean \"{}\"?", meant)));
}

LoadedPlugin Registry::load(const std::string& name, const std::string& config_json,
                            const ProbeOptions& options) const {
  const PluginFile& file = select(name);
  probe(file.path, config_json, options);
  LoadedPlugin plugin = LoadedPlugin::load(file.path);
  if (plugin.name() != name)
    throw Error(Code::kFailedPrecondition,
                fmt::format("{}: calls itself {} once it is loaded, its file says {}", file.path, plugin.name(), name));
  return plugin;
}

}  // namespace ipcs::loader
