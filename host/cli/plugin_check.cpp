// `ipcsctl plugin check`: the conformance suite on a plugin, without a daemon.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>

#include "cli/conformance_case.hpp"
#include "cli/session.hpp"
#include "cli/text.hpp"
#include "config/config.hpp"
#include "ipcs/error.hpp"
#include "plugin/elf_peek.hpp"
#include "plugin/probe.hpp"
#include "plugin/registry.hpp"
#include "plugin/trial_process.hpp"
#include "plugin/trust.hpp"

namespace ipcs::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPlaceholder = "{dir}";
constexpr auto kTimeLimit = std::chrono::minutes(2);  // for a case; the longest takes seconds on a slow disk

struct CheckArgs {
  std::string plugin, config_file, part;
  std::vector<std::string> settings, plugin_dirs;
  std::chrono::nanoseconds time_limit = kTimeLimit;
  bool not_durable = false, no_read_only = false;
  uint64_t large_blob = 0, many_ingests = 0;
};

// A directory that goes with everything in it.
class FreshDirectory {
 public:
  FreshDirectory() {
    std::string pattern = (fs::temp_directory_path() / "ipcs-check-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr)
      throw Error(Code::kInternal,
                  fmt::format("{}: {}", pattern, std::error_code(errno, std::generic_category()).message()));
    path_ = pattern;
  }
  FreshDirectory(const FreshDirectory&) = delete;
  FreshDirectory& operator=(const FreshDirectory&) = delete;
  ~FreshDirectory() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  // A new directory in it.
  std::string make(const std::string& name) const {
    const fs::path path = path_ / name;
    fs::create_directory(path);
    return path.string();
  }

 private:
  fs::path path_;
};

// The plugin under test.
struct Plugin {
  std::string path;
  loader::PluginFacts facts;
  std::string name;
  std::string config_json;  // with the placeholder
};

std::string file_of(const CheckArgs& args) {
  if (args.plugin.find_first_of("/.") != std::string::npos) return args.plugin;  // no name has these
  const std::vector<std::string> dirs =
      args.plugin_dirs.empty() ? config::defaults(config::Environment::of_process()).plugin_dirs : args.plugin_dirs;
  return loader::Registry::scan(dirs, loader::Identity::current()).select(args.plugin).path;
}

// Reads the plugin's data and its configuration. Throws Error kInvalidArgument where only the latter is wrong.
Plugin examine(Session& session, const CheckArgs& args) {
  Plugin plugin;
  plugin.path = file_of(args);
  plugin.facts = loader::peek(plugin.path);
  plugin.name = plugin.facts.name.empty() ? fs::path(plugin.path).stem().string() : plugin.facts.name;
  loader::Identity identity = loader::Identity::current();
  if (const auto reason = loader::distrust(plugin.path, identity)) throw Error(Code::kFailedPrecondition, *reason);
  identity.uid = 0;
  if (const auto reason = loader::distrust(plugin.path, identity))
    session.tell("warning: an ipcsd of root's would refuse it: " + *reason);
  return plugin;
}

std::string configuration(const CheckArgs& args, const std::string& name) {
  std::string text, label = "--set";
  if (args.config_file == "-") {
    label = "standard input";
    text.assign(std::istreambuf_iterator<char>(std::cin), {});
  } else if (!args.config_file.empty()) {
    label = args.config_file;
    text = config::read_text(args.config_file);
  }
  config::Config config;
  config.root = kPlaceholder;  // where ipcsd has a default of its own for the plugin, it is used here too
  config.plugins[name] = config::plugin_json(text, label, args.settings);
  return config::plugin_json(config, name);
}

// Puts a directory in the place of the placeholder, wherever it is in a string.
nlohmann::json placed(nlohmann::json value, const std::string& directory) {
  if (value.is_string()) {
    std::string text = value;
    for (size_t at = 0; (at = text.find(kPlaceholder, at)) != std::string::npos; at += directory.size())
      text.replace(at, kPlaceholder.size(), directory);
    return text;
  }
  if (value.is_structured()) {
    for (auto& element : value) element = placed(element, directory);
  }
  return value;
}

std::string placed(const std::string& json, const std::string& directory) {
  return placed(nlohmann::json::parse(json), directory).dump();
}

struct CaseResult {
  std::string name, outcome, message;
  double seconds = 0;
  bool failed() const { return outcome == "failed"; }
};

// What the case's process said, or how it ended.
void judge(const loader::TrialOutcome& trial, std::chrono::milliseconds time_limit, CaseResult& result) {
  std::string phase = "before the plugin was loaded";
  for (const nlohmann::json& line : loader::report_lines(trial.report)) {
    if (line.contains("at")) phase = line["at"] == "" ? std::string() : "while " + line.value("at", std::string());
    if (!line.contains("outcome")) continue;
    result.outcome = line.value("outcome", std::string("failed"));
    result.message = line.value("message", std::string());
    return;
  }
  result.outcome = "failed";
  result.message = loader::ending(trial, time_limit, phase);
}

CaseResult run_case(Session& session, const CheckArgs& args, const Plugin& plugin, const std::string& name,
                    size_t index) {
  const FreshDirectory directory;
  CaseRequest request;
  request.config_json = placed(plugin.config_json, directory.make("store"));
  request.other_config_json = placed(plugin.config_json, directory.make("other"));
  // A configuration without a directory is one of another store only where each open makes one.
  if (request.other_config_json == request.config_json && !args.not_durable) request.other_config_json.clear();
  request.scratch_dir = directory.make("scratch");
  request.durable = !args.not_durable;
  request.read_only = !args.no_read_only;
  request.large_blob = args.large_blob;
  request.many_ingests = args.many_ingests;
  loader::Trial trial;
  trial.arguments = {"ipcsctl", "plugin-case", plugin.path, std::to_string(index)};
  trial.input = to_json(request).dump();
  trial.time_limit = std::chrono::duration_cast<std::chrono::milliseconds>(args.time_limit);
  trial.cancelled = [&] { return session.interrupt.requested(); };
  CaseResult result{name, {}, {}, 0};
  const auto begun = std::chrono::steady_clock::now();
  judge(loader::run_trial(trial), trial.time_limit, result);
  session.interrupt.check();
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  return result;
}

void show(Session& session, const CaseResult& result) {
  if (session.json() || (session.flags.quiet && !result.failed())) return;
  const std::string outcome = result.failed() ? "FAILED" : result.outcome;
  session.output.line(result.message.empty() ? fmt::format("{:<11}  {}", outcome, result.name)
                                             : fmt::format("{:<11}  {}: {}", outcome, result.name, result.message));
  session.output.flush();
}

void summarize(Session& session, const Plugin& plugin, const std::vector<CaseResult>& results) {
  const auto count = [&](std::string_view outcome) {
    return std::count_if(results.begin(), results.end(), [&](const CaseResult& r) { return r.outcome == outcome; });
  };
  if (session.json()) {
    Json cases = Json::array();
    for (const CaseResult& r : results)
      cases.push_back({{"name", r.name}, {"outcome", r.outcome}, {"message", r.message}, {"seconds", r.seconds}});
    session.output.json({{"name", plugin.name},
                         {"version", plugin.facts.version},
                         {"build", plugin.facts.build},
                         {"path", plugin.path},
                         {"passed", count("passed")},
                         {"failed", count("failed")},
                         {"not_offered", count("not offered")},
                         {"cases", std::move(cases)}});
  } else if (!session.flags.quiet) {
    session.output.line(fmt::format("{} {}: {}, {} passed, {} failed, {} not offered", plugin.name,
                                    plugin.facts.version, counted(results.size(), "case"), count("passed"),
                                    count("failed"), count("not offered")));
  }
}

int check(Session& session, const CheckArgs& args) {
  Plugin plugin = examine(session, args);
  try {
    plugin.config_json = configuration(args, plugin.name);
  } catch (const Error& e) {
    complain(e.what());
    return kUsage;
  }
  {
    const FreshDirectory directory;
    loader::probe(plugin.path, placed(plugin.config_json, directory.make("store")), {});
  }
  const std::vector<std::string> names = case_names();
  std::vector<CaseResult> results;
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i].find(args.part) == std::string::npos) continue;
    results.push_back(run_case(session, args, plugin, names[i], i));
    show(session, results.back());
  }
  if (results.empty()) {
    complain(fmt::format("no case has \"{}\" in its name", args.part));
    return kUsage;
  }
  summarize(session, plugin, results);
  return std::any_of(results.begin(), results.end(), [](const CaseResult& r) { return r.failed(); }) ? kFailure : kOk;
}

void set_time_limit(CheckArgs& args, const std::string& text) {
  const auto limit = parse_duration(text);
  if (!limit || limit->count() == 0)
    throw CLI::ValidationError("--time-limit",
                               fmt::format("\"{}\" is no time: it wants 10s, 1m30s, 500ms", printable(text)));
  args.time_limit = *limit;
}

}  // namespace

void add_plugin_check(CLI::App& plugin, Choice& choice) {
  auto args = std::make_shared<CheckArgs>();
  CLI::App* verb =
      add_verb(plugin, choice, "check", "run the conformance suite on a plugin; no ipcsd is needed", check, args);
  verb->add_option("PLUGIN", args->plugin, "a file, or the name of a plugin where ipcsd looks for them")
      ->type_name("")
      ->required();
  verb->add_option("--config", args->config_file, "TOML file with the plugin's own table; -: standard input")
      ->type_name("FILE");
  verb->add_option("--set", args->settings,
                   "a key of that table; {dir} in a string is an empty directory, one for each store")
      ->type_name("KEY=VALUE")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  verb->add_option("--case", args->part, "run only cases with this in their name")->type_name("TEXT");
  verb->add_flag("--not-durable", args->not_durable, "the backend keeps nothing after it is closed");
  verb->add_flag("--no-read-only", args->no_read_only, "the backend can't be opened read-only");
  verb->add_option("--large-blob", args->large_blob, "bytes of the largest blob that is tried [25165824]")
      ->type_name("BYTES");
  verb->add_option("--many-ingests", args->many_ingests, "how many are held open at once [300]")->type_name("COUNT");
  verb->add_option_function<std::string>(
          "--time-limit", [args](const std::string& text) { set_time_limit(*args, text); }, "for each case [2m]")
      ->type_name("TIME");
  verb->add_option("--plugin-dir", args->plugin_dirs, "where to look for a name, instead of the usual directories")
      ->type_name("DIR")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

}  // namespace ipcs::cli
