// The flags that all verbs share; verbs add themselves.
#include "cli/command_line.hpp"

#include <fmt/format.h>

#include <vector>

#include "cli/text.hpp"
#include "config/nearest.hpp"

namespace ipcs::cli {
namespace {

// The verb that the words so far name, or the group of verbs.
const CLI::App& deepest(const CLI::App& app) {
  const auto used = app.get_subcommands();
  return used.empty() ? app : deepest(*used.front());
}

// "content ls"; empty for the program itself.
std::string path_of(const CLI::App& app) {
  const CLI::App* parent = app.get_parent();
  if (parent == nullptr) return {};
  const std::string above = path_of(*parent);
  return above.empty() ? app.get_name() : above + ' ' + app.get_name();
}

std::vector<std::string> verbs_of(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(verb->get_name());
  return names;
}

// Long flags of the verb and of all verbs.
std::vector<std::string> flags_of(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* each = &app; each != nullptr; each = each->get_parent()) {
    for (const CLI::Option* option : each->get_options()) {
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    }
  }
  return names;
}

std::string suggestion(std::string_view word, const std::vector<std::string>& known) {
  const auto near = config::nearest(word, std::vector<std::string_view>(known.begin(), known.end()));
  return near ? fmt::format(" (did you mean \"{}\"?)", *near) : std::string();
}

CLI::Validator is_duration() {
  return CLI::Validator(
      [](std::string& text) {
        return parse_duration(text) ? std::string()
                                    : fmt::format("\"{}\" is no time: it wants 10s, 1m30s, 500ms, 2h", printable(text));
      },
      "", "duration");
}

void add_flags(CLI::App& app, Flags& flags) {
  app.add_option("-a,--address", flags.address,
                 "ipcsd's control socket [$IPCS_CONTROL, or where ipcsd has it by default, with $IPCS_ROOT if that is set]")
      ->type_name("SOCKET")
      ->check(is_not_empty());
  app.add_option_function<std::string>(
         "--format",
         [&flags](const std::string& name) { flags.format = name == "json" ? Format::kJson : Format::kTable; },
         "of results [table]")
      ->type_name("table|json")
      ->check(CLI::IsMember({"table", "json"}).description(""));
  app.add_option_function<std::string>(
         "--timeout",
         [&flags](const std::string& text) {
           flags.timeout = parse_duration(text);
           if (flags.timeout && flags.timeout->count() == 0) flags.timeout.reset();
         },
         "for each request as a whole, e.g. 10s; 0: none [0]")
      ->type_name("TIME")
      ->check(is_duration());
  app.add_flag("-q,--quiet", flags.quiet, "print results only, and of lists only the names");
  app.add_flag("--no-progress", flags.no_progress, "show no progress");
}

}  // namespace

std::unique_ptr<CLI::App> command_tree(Flags& flags, Choice& choice) {
  auto app = std::make_unique<CLI::App>("Looks after the content store of a running ipcsd.", "ipcsctl");
  app->set_help_flag("-h,--help", "print this and exit");
  app->set_version_flag("--version", "ipcsctl " IPCS_VERSION, "print the version and exit");
  app->option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app->fallthrough();  // flags of all verbs may stand behind the verb
  app->require_subcommand(1);
  add_flags(*app, flags);
  app->option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::Throw);
  app->footer("`ipcsctl --help` tells the flags that all verbs know.");  // verbs inherit it
  add_content(*app, choice);
  add_image(*app, choice);
  add_pin(*app, choice);
  add_client(*app, choice);
  add_verify(*app, choice);
  add_usage(*app, choice);
  add_status(*app, choice);
  add_cid(*app, choice);
  add_plugin(*app, choice);
  add_completion(*app, choice);
  add_version(*app, choice);
  app->footer("");
  return app;
}

std::string usage_problem(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App& verb = deepest(app);
  const std::string path = path_of(verb);
  const std::string subject = path.empty() ? std::string() : path + ": ";
  const std::string hint = fmt::format("; `ipcsctl {}{}--help` tells more", path, path.empty() ? "" : " ");
  const std::vector<std::string> unknown = app.remaining(true), verbs = verbs_of(verb);
  if (unknown.empty()) {
    const bool no_verb = error.get_exit_code() == static_cast<int>(CLI::ExitCodes::RequiredError);
    if (no_verb && !verbs.empty()) return fmt::format("{}wants one of: {}{}", subject, fmt::join(verbs, ", "), hint);
    return fmt::format("{}{}{}", subject, error.what(), hint);
  }
  const std::string& word = unknown.front();
  if (word.size() > 1 && word[0] == '-') {
    const std::string flag = word.substr(0, word.find('='));
    return fmt::format("{}unknown flag \"{}\"{}{}", subject, flag, suggestion(flag, flags_of(verb)), hint);
  }
  if (!verbs.empty()) return fmt::format("{}unknown verb \"{}\"{}{}", subject, word, suggestion(word, verbs), hint);
  return fmt::format("{}one argument too many: \"{}\"{}", subject, word, hint);
}

}  // namespace ipcs::cli
