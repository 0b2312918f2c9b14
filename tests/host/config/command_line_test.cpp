// Flags, variables and the config command.
#include "config/command_line.hpp"

#include <catch2/catch.hpp>
#include <initializer_list>

#include "host/config/fixture.hpp"

using namespace ipcs;
using namespace ipcs::config;
using Catch::Matchers::Contains;
using Action = Options::Action;

namespace {

Options parsed(std::initializer_list<const char*> arguments, const Environment& environment = root_environment()) {
  std::vector<const char*> argv{"ipcsd"};
  argv.insert(argv.end(), arguments);
  return parse_command_line(static_cast<int>(argv.size()), argv.data(), environment);
}
std::string refused(std::initializer_list<const char*> arguments, const Environment& environment = root_environment()) {
  return error_of([&] { parsed(arguments, environment); });
}
Environment with(const char* name, const char* value) {
  Environment environment = root_environment();
  environment.variables[name] = value;
  return environment;
}

}  // namespace

TEST_CASE("nothing given") {
  const Options o = parsed({});
  CHECK(o.action == Action::kRun);
  CHECK(o.file.empty());
  CHECK_FALSE(o.allow_missing);
  CHECK_FALSE(o.flags.root);
  CHECK_FALSE(o.variables.root);
}

TEST_CASE("every flag") {
  const Options o = parsed({"--config", "/c.toml", "--root=/r", "--address", "unix:///a.sock", "--control", "/c.sock",
                            "--backend", "ipfs-http", "--previous", "local", "--plugin-dir", "/p1", "--plugin-dir=/p2",
                            "--log-level", "debug", "--allow-missing"});
  CHECK(o.action == Action::kRun);
  CHECK(o.file == "/c.toml");
  CHECK(o.flags.root == "/r");
  CHECK(o.flags.address == "/a.sock");
  CHECK(o.flags.control_address == "/c.sock");
  CHECK(o.flags.backend == "ipfs-http");
  CHECK(o.flags.previous == "local");
  CHECK(o.flags.plugin_dirs == std::vector<std::string>{"/p1", "/p2"});
  CHECK(o.flags.log_level == log::Level::kDebug);
  CHECK(o.allow_missing);
}

TEST_CASE("every variable") {
  Environment environment = root_environment();
  environment.variables = {{"IPCS_CONFIG", "/c.toml"},       {"IPCS_ROOT", "/r"},       {"IPCS_ADDRESS", "/a.sock"},
                           {"IPCS_CONTROL", "/c.sock"},      {"IPCS_BACKEND", "b"},     {"IPCS_PREVIOUS", "p"},
                           {"IPCS_PLUGIN_DIR", "/1::/2:/3"}, {"IPCS_LOG_LEVEL", "warn"}, {"IPCS_DIFF_ADDRESS", "/d.sock"}};
  const Options o = parsed({}, environment);
  CHECK(o.file == "/c.toml");
  CHECK(o.variables.root == "/r");
  CHECK(o.variables.address == "/a.sock");
  CHECK(o.variables.control_address == "/c.sock");
  CHECK(o.variables.diff_address == "/d.sock");
  CHECK(o.variables.backend == "b");
  CHECK(o.variables.previous == "p");
  CHECK(o.variables.plugin_dirs == std::vector<std::string>{"/1", "/2", "/3"});
  CHECK(o.variables.log_level == log::Level::kWarn);
  CHECK(parsed({"--config", "/flag.toml"}, environment).file == "/flag.toml");
  CHECK_FALSE(parsed({}, with("IPCS_ROOT", "")).variables.root);
}

TEST_CASE("the contract for scripts: no file, no more than three flags") {
  const Environment environment = user_environment();
  const Config c =
      load(parsed({"--root", "/tmp/x", "--address", "/tmp/x/s.sock", "--backend", "local"}, environment), environment);
  CHECK(c.root == "/tmp/x");
  CHECK(c.grpc.at(0).address == "/tmp/x/s.sock");
  CHECK(c.control.address == "/tmp/x/control.sock");
  CHECK(plugin_json(c, "local") == R"({"path":"/tmp/x/local"})");
}

TEST_CASE("relative paths start at the working directory") {
  const Options o =
      parsed({"--root", "state/../r", "--address", "a.sock", "--control", "unix://c.sock", "--plugin-dir", "."});
  CHECK(o.flags.root == "/srv/r");
  CHECK(o.flags.address == "/srv/a.sock");
  CHECK(o.flags.control_address == "/srv/c.sock");
  CHECK(o.flags.plugin_dirs == std::vector<std::string>{"/srv"});
}

TEST_CASE("the last of a flag given twice counts") {
  CHECK(parsed({"--root", "/a", "--root", "/b"}).flags.root == "/b");
}

TEST_CASE("an unknown flag is told with the nearest one, in one line") {
  CHECK(refused({"--adress", "/a.sock"}) == "unknown flag \"--adress\" (did you mean \"--address\"?)");
  CHECK(refused({"--adress=/a.sock", "--root", "/r"}) == "unknown flag \"--adress\" (did you mean \"--address\"?)");
  CHECK(refused({"-root", "/r"}) == "unknown flag \"-root\" (did you mean \"--root\"?)");
  CHECK(refused({"--plugindir", "/r"}) == "unknown flag \"--plugindir\" (did you mean \"--plugin-dir\"?)");
  CHECK(refused({"--frobnicate"}) == "unknown flag \"--frobnicate\"");
  CHECK(refused({"config", "check", "--rot", "/r"}) == "unknown flag \"--rot\" (did you mean \"--root\"?)");
  CHECK(refused({"conifg", "check"}) == "unexpected argument \"conifg\" (did you mean \"config\"?)");
  CHECK(refused({"config", "defualt"}) == "unexpected argument \"defualt\" (did you mean \"default\"?)");
  CHECK(refused({"serve"}) == "unexpected argument \"serve\"");
  CHECK(refused({"config", "default", "x"}) == "unexpected argument \"x\"");
}

TEST_CASE("a wrong value names its flag or variable") {
  CHECK(refused({"--log-level", "loud"}) ==
        "--log-level wants \"debug\", \"info\", \"warn\" or \"error\", not \"loud\"");
  CHECK(refused({}, with("IPCS_LOG_LEVEL", "loud")) ==
        "IPCS_LOG_LEVEL wants \"debug\", \"info\", \"warn\" or \"error\", not \"loud\"");
  CHECK_THAT(refused({"--backend", "Local"}), Contains("--backend wants a plugin's name"));
  CHECK_THAT(refused({"--root", ""}), Contains("--root wants a path"));
  CHECK_THAT(refused({"--root="}), Contains("--root"));
  const std::string longer = '/' + std::string(107, 'a');
  CHECK_THAT(refused({"--address", longer.c_str()}), Contains("--address is 108 bytes long"));
  CHECK_THAT(refused({}, with("IPCS_CONTROL", longer.c_str())), Contains("IPCS_CONTROL is 108 bytes long"));
  for (const std::string& line : {refused({"--root"}), refused({"config"}), refused({"--allow-missing=perhaps"})}) {
    CAPTURE(line);
    CHECK_FALSE(line.empty());
    CHECK(line.find('\n') == std::string::npos);
  }
}

TEST_CASE("help and version are printed") {
  CHECK(run_command(parsed({"--version"}), root_environment()) == "ipcsd " IPCS_VERSION "\n");
  const std::string help = run_command(parsed({"--help"}), root_environment());
  for (const char* word :
       {"--config", "--root", "--address", "--control", "--backend", "--previous", "--plugin-dir", "--log-level",
        "--allow-missing", "--version", "IPCS_ADDRESS", "/etc/ipcs/config.toml", "config"})
    CHECK_THAT(help, Contains(word));
  CHECK(parsed({"config", "--help"}).action == Action::kPrint);
}

TEST_CASE("config default prints the defaults") {
  const Options o = parsed({"config", "default"});
  CHECK(o.action == Action::kPrintDefault);
  CHECK(run_command(o, root_environment()) == default_text(root_environment()));
}

TEST_CASE("config check") {
  const TempDir dir;
  const std::string good = dir.file("good.toml", "version = 1\n");
  const std::string bad = dir.file("bad.toml", "version = 1\nrot = 1\nbackend = 5\n");
  const auto check = [&](std::initializer_list<const char*> arguments,
                         const Environment& environment = root_environment()) {
    const Options o = parsed(arguments, environment);
    CHECK(o.action == Action::kCheck);
    return run_command(o, environment);
  };
  CHECK(check({"config", "check", good.c_str()}) == good + ": ok\n");
  CHECK(check({"--config", good.c_str(), "config", "check"}) == good + ": ok\n");
  CHECK(check({"config", "check", "--config", good.c_str()}) == good + ": ok\n");
  CHECK(error_of([&] {
          check({"config", "check", bad.c_str()});
        }) == bad + ":2: unknown key \"rot\" (did you mean \"root\"?)\n" + bad +
                  ":3: \"backend\" wants a string, not an integer");
  // The default file is checked when no other is named and it is there.
  Environment user = user_environment();
  user.home = dir.path();
  CHECK(check({"config", "check"}, user) == "no file; flags and environment: ok\n");
  CHECK(check({"--root", "/r", "config", "check"}, user) == "no file; flags and environment: ok\n");
  const std::string none = (dir.path() / "none.toml").string();
  error_of([&] { check({"config", "check", none.c_str()}, user); }, Code::kNotFound);
  const std::string by_default = dir.file(".config/ipcs/config.toml", "version = 1\n");
  CHECK(check({"config", "check"}, user) == by_default + ": ok\n");
}

TEST_CASE("a missing file is fine only as the default") {
  const TempDir dir;
  Environment user = user_environment();
  user.home = dir.path();
  CHECK(load(parsed({}, user), user) == defaults(user));
  const std::string none = dir.path() / "none.toml";
  CHECK_THAT(error_of(
                 [&] {
                   load(parsed({"--config", none.c_str()}, user), user);
                 },
                 Code::kNotFound),
             Contains("none.toml: No such file"));
  dir.file(".config/ipcs/config.toml", "version = 1\nbackend = \"mine\"\n");
  CHECK(load(parsed({}, user), user).backend == "mine");
  CHECK(load(parsed({"--backend", "flag"}, user), user).backend == "flag");
}
