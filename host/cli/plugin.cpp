// `ipcsctl plugin ls|info`: the plugin files that the daemon found when it started.
#include <fmt/format.h>

#include "cli/session.hpp"
#include "cli/text.hpp"
#include "config/nearest.hpp"
#include "ipcs/error.hpp"

namespace ipcs::cli {
namespace {

admin_api::ListPluginsResponse ask(Session& session) {
  return session.connection.call<admin_api::ListPluginsResponse>(
      session.connection.admin(), &admin_api::Admin::Stub::ListPlugins, admin_api::ListPluginsRequest());
}

std::string abi_of(const admin_api::Plugin& plugin) {
  return plugin.abi_major() == 0 ? "-" : fmt::format("{}.{}", plugin.abi_major(), plugin.abi_minor());
}

std::string or_dash(const std::string& text) {
  return text.empty() ? "-" : text;
}

Json to_json(const admin_api::Plugin& plugin) {
  return {{"name", plugin.name()},        {"version", plugin.version()},     {"description", plugin.description()},
          {"build", plugin.build()},      {"abi_major", plugin.abi_major()}, {"abi_minor", plugin.abi_minor()},
          {"path", plugin.path()},        {"state", plugin.state()},         {"reason", plugin.reason()},
          {"selected", plugin.selected()}, {"previous", plugin.previous()}};
}

// What the daemon does with it; empty: nothing.
std::string use_of(const admin_api::Plugin& plugin) {
  if (plugin.selected()) return "in use";
  return plugin.previous() ? "in use as previous" : "";
}

struct NoArgs {};

int list(Session& session, const NoArgs&) {
  const admin_api::ListPluginsResponse response = ask(session);
  Json plugins = Json::array();
  Table table({{"NAME"}, {"VERSION"}, {"ABI"}, {"STATE"}, {"PATH"}, {"REASON"}});
  for (const admin_api::Plugin& plugin : response.plugins()) {
    if (session.json()) {
      plugins.push_back(to_json(plugin));
    } else if (session.flags.quiet) {
      session.output.line(plugin.name());
    } else {
      const std::string use = use_of(plugin);
      table.add({plugin.name(), or_dash(plugin.version()), abi_of(plugin),
                 use.empty() ? plugin.state() : plugin.state() + ", " + use, plugin.path(), plugin.reason()});
    }
  }
  if (session.json()) {
    session.output.json(plugins);
  } else if (!session.flags.quiet) {
    session.output.table(table);
  }
  return kOk;
}

struct InfoArgs {
  std::string name;
};

int info(Session& session, const InfoArgs& args) {
  const admin_api::ListPluginsResponse response = ask(session);
  Json found = Json::array();
  std::string text;
  std::vector<std::string_view> names;
  for (const admin_api::Plugin& plugin : response.plugins()) {
    names.push_back(plugin.name());
    if (plugin.name() != args.name) continue;
    found.push_back(to_json(plugin));
    Table table({{""}, {""}});
    table.add({"name:", plugin.name()});
    table.add({"version:", or_dash(plugin.version())});
    table.add({"description:", or_dash(plugin.description())});
    table.add({"build:", or_dash(plugin.build())});
    table.add({"abi:", abi_of(plugin)});
    table.add({"path:", plugin.path()});
    table.add({"state:", plugin.state()});
    if (!plugin.reason().empty()) table.add({"reason:", plugin.reason()});
    table.add({"in use:", plugin.selected() ? "yes" : plugin.previous() ? "as previous" : "no"});
    text += (text.empty() ? "" : "\n") + table.render();
  }
  if (found.empty()) {
    const auto near = config::nearest(args.name, names);
    throw Error(Code::kNotFound, fmt::format("ipcsd found no plugin \"{}\"{}", args.name,
                                             near ? fmt::format(" (did you mean \"{}\"?)", *near)
                                                  : std::string("; `ipcsctl plugin ls` lists them")));
  }
  if (session.json()) {
    session.output.json(found);
  } else {
    session.output.write(text);
  }
  return kOk;
}

}  // namespace

void add_plugin(CLI::App& app, Choice& choice) {
  CLI::App* plugin = app.add_subcommand("plugin", "the plugins that ipcsd found when it started, and one under test");
  plugin->require_subcommand(1);
  add_verb(*plugin, choice, "ls", "list plugin files", list, std::make_shared<NoArgs>())->alias("list");
  auto shown = std::make_shared<InfoArgs>();
  add_verb(*plugin, choice, "info", "show what a plugin says of itself", info, shown)
      ->add_option("NAME", shown->name, "of the plugin")
      ->type_name("")
      ->required();
  add_plugin_check(*plugin, choice);
}

}  // namespace ipcs::cli
