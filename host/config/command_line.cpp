// Parses flags with CLI11 and variables by the same table.
#include "config/command_line.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <filesystem>

#include "config/nearest.hpp"
#include "config/values.hpp"
#include "ipcs/error.hpp"

namespace ipcs::config {
namespace {

std::string absolute(std::string_view path, const Environment& environment) {
  if (path.empty()) throw Error(Code::kInvalidArgument, "wants a path, not \"\"");
  if (path[0] == '/' || environment.working_dir.empty()) return std::string(path);
  return (std::filesystem::path(environment.working_dir) / path).string();
}

std::string absolute_socket(std::string_view path, const Environment& environment) {
  constexpr std::string_view kScheme = "unix://";
  if (path.starts_with(kScheme)) path.remove_prefix(kScheme.size());
  return to_socket_path(absolute(path, environment));
}

// A setting that a flag or a variable gives. `set` throws Error with a predicate as values.hpp does.
struct Source {
  const char* flag;
  const char* variable;
  const char* value;  // what it stands for in the help text
  const char* help;
  bool repeated;  // several flags, or a list in the variable with ':' between
  void (*set)(Settings&, std::string_view text, const Environment&);
};

constexpr std::array kSources{
    Source{"--root", "IPCS_ROOT", "DIR", "directory of the daemon's state", false,
           [](Settings& s, std::string_view text, const Environment& e) { s.root = to_path(absolute(text, e)); }},
    Source{"--address", "IPCS_ADDRESS", "SOCKET", "unix socket for containerd", false,
           [](Settings& s, std::string_view text, const Environment& e) { s.address = absolute_socket(text, e); }},
    Source{
        "--control", "IPCS_CONTROL", "SOCKET", "unix socket for ipcsctl (with --root: DIR/control.sock when not set)",
        false,
        [](Settings& s, std::string_view text, const Environment& e) { s.control_address = absolute_socket(text, e); }},
    Source{"--diff-address", "IPCS_DIFF_ADDRESS", "SOCKET", "unix socket for containerd's diff plugin, off when not set", false,
           [](Settings& s, std::string_view text, const Environment& e) { s.diff_address = absolute_socket(text, e); }},
    Source{"--backend", "IPCS_BACKEND", "NAME", "plugin that stores the blobs", false,
           [](Settings& s, std::string_view text, const Environment&) { s.backend = to_plugin_name(text); }},
    Source{"--previous", "IPCS_PREVIOUS", "NAME", "plugin that stored them before", false,
           [](Settings& s, std::string_view text, const Environment&) { s.previous = to_plugin_name(text); }},
    Source{"--plugin-dir", "IPCS_PLUGIN_DIR", "DIR",
           "directory with plugins, instead of the configured ones; may be repeated", true,
           [](Settings& s, std::string_view text, const Environment& e) {
             if (!s.plugin_dirs) s.plugin_dirs.emplace();
             s.plugin_dirs->push_back(to_path(absolute(text, e)));
           }},
    Source{"--log-level", "IPCS_LOG_LEVEL", "LEVEL", "debug, info, warn or error", false,
           [](Settings& s, std::string_view text, const Environment&) { s.log_level = to_level(text); }},
};

[[noreturn]] void refuse(const std::string& message) {
  throw Error(Code::kInvalidArgument, message);
}

// Runs `body` with `subject` in front of the message of its Error.
template <class Body>
void about(std::string_view subject, Body body) {
  try {
    body();
  } catch (const Error& error) {
    refuse(fmt::format("{} {}", subject, error.what()));
  }
}

Settings read_variables(const Environment& environment) {
  Settings settings;
  for (const Source& source : kSources) {
    std::string rest = environment.get(source.variable);
    if (rest.empty()) continue;
    about(source.variable, [&] {
      for (size_t colon = 0; source.repeated && (colon = rest.find(':')) != std::string::npos;) {
        if (colon > 0) source.set(settings, rest.substr(0, colon), environment);
        rest.erase(0, colon + 1);
      }
      if (!rest.empty()) source.set(settings, rest, environment);
    });
  }
  return settings;
}

// Refuses what CLI11 could not place.
void refuse_unknown(const CLI::App& app) {
  const std::vector<std::string> unknown = app.remaining(true);
  if (unknown.empty()) return;
  const std::string& word = unknown.front();
  const auto ask = [&](const std::vector<std::string>& known, std::string_view name, std::string_view dashes) {
    const std::vector<std::string_view> words(known.begin(), known.end());
    const auto near = nearest(name, words);
    return near ? fmt::format(" (did you mean {}?)", in_quotes(std::string(dashes) + *near)) : std::string();
  };
  std::vector<std::string> known;
  if (word.starts_with('-')) {
    for (const CLI::Option* option : app.get_options()) {
      known.insert(known.end(), option->get_lnames().begin(), option->get_lnames().end());
    }
    const std::string flag = word.substr(0, word.find('='));
    refuse(fmt::format("unknown flag {}{}", in_quotes(flag),
                       ask(known, flag.substr(std::min(flag.size(), flag.find_first_not_of('-'))), "--")));
  }
  const auto used = app.get_subcommands();
  for (const CLI::App* command : (used.empty() ? &app : used.front())->get_subcommands(nullptr))
    known.push_back(command->get_name());
  refuse(fmt::format("unexpected argument {}{}", in_quotes(word), ask(known, word, "")));
}

}  // namespace

Options parse_command_line(int argc, const char* const* argv, const Environment& environment) {
  Options options;
  CLI::App app("Serves a content store to containerd.", "ipcsd");
  app.allow_extras();  // so that an unknown flag can be told with the nearest one
  app.fallthrough();
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.set_help_flag("-h,--help", "print this and exit");
  std::vector<std::string> config_file;
  std::array<std::vector<std::string>, kSources.size()> values;
  const auto add = [&](const std::string& flag, std::vector<std::string>& into, const char* value,
                       const std::string& help) {
    app.add_option(flag, into, help)
        ->type_name(value)
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  };
  add("--config", config_file, "FILE", "configuration file [" + default_file(environment) + "] (IPCS_CONFIG)");
  for (size_t i = 0; i < kSources.size(); ++i)
    add(kSources[i].flag, values[i], kSources[i].value, fmt::format("{} ({})", kSources[i].help, kSources[i].variable));
  app.add_flag("--allow-missing", options.allow_missing,
               "start although the backend lacks blobs that the catalog knows");
  bool version = false;
  app.add_flag("--version", version, "print the version and exit");
  CLI::App* config = app.add_subcommand("config", "print or check a configuration");
  config->require_subcommand(1);
  CLI::App* print_default = config->add_subcommand("default", "print a commented file with every default");
  CLI::App* check = config->add_subcommand("check", "check a file, and what flags and environment make of it");
  std::string checked;
  check->add_option("FILE", checked, "the file; --config or the default one when not given")->type_name("");

  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    options.action = Options::Action::kPrint;
    options.text = app.help();
    return options;
  } catch (const CLI::ParseError& error) {
    refuse_unknown(app);  // likelier the cause than what CLI11 stumbled over
    refuse(one_line(error.what()));
  }
  refuse_unknown(app);
  if (version) {
    options.action = Options::Action::kPrint;
    options.text = "ipcsd " IPCS_VERSION "\n";
    return options;
  }
  if (print_default->parsed()) options.action = Options::Action::kPrintDefault;
  if (check->parsed()) options.action = Options::Action::kCheck;

  options.variables = read_variables(environment);
  for (size_t i = 0; i < kSources.size(); ++i) {
    if (!kSources[i].repeated && values[i].size() > 1) values[i] = {values[i].back()};
    for (const std::string& value : values[i])
      about(kSources[i].flag, [&] { kSources[i].set(options.flags, value, environment); });
  }
  options.file = environment.get("IPCS_CONFIG");
  if (!config_file.empty()) options.file = config_file.back();
  if (!checked.empty()) options.file = checked;
  return options;
}

Config load(const Options& options, const Environment& environment) {
  const std::string path = options.file.empty() ? default_file(environment) : options.file;
  Settings file;
  std::string read;
  if (!path.empty()) {
    try {
      file = load(path);
      read = path;
    } catch (const Error& error) {
      if (error.code() != Code::kNotFound || !options.file.empty()) throw;  // the default file need not be there
    }
  }
  Config config = resolve(file, options.variables, options.flags, environment);
  config.file = read;
  return config;
}

std::string run_command(const Options& options, const Environment& environment) {
  switch (options.action) {
    case Options::Action::kRun:
      break;
    case Options::Action::kPrint:
      return options.text;
    case Options::Action::kPrintDefault:
      return default_text(environment);
    case Options::Action::kCheck: {
      const std::string file = load(options, environment).file;
      return file.empty() ? "no file; flags and environment: ok\n" : file + ": ok\n";
    }
  }
  return {};
}

}  // namespace ipcs::config
