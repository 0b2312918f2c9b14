// Defaults, layers, the file on disk, the commented default file, and a plugin's JSON.
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "config/command_line.hpp"
#include "config/config.hpp"
#include "host/config/fixture.hpp"

using namespace ipcs;
using namespace ipcs::config;
using Catch::Matchers::Contains;
using nlohmann::json;

namespace {

Config resolved(const Settings& file, const Settings& variables, const Settings& flags) {
  return resolve(file, variables, flags, root_environment());
}

}  // namespace

TEST_CASE("defaults as root") {
  const Config c = defaults(root_environment());
  CHECK(c.root == "/var/lib/ipcs");
  CHECK(c.plugin_dirs == std::vector<std::string>{"/opt/ipcs/lib/ipcs/plugins"});
  CHECK(c.backend == "local");
  CHECK(c.previous.empty());
  CHECK(c.adopt == Adopt::kOperator);
  CHECK(c.look_up_timeout == std::chrono::milliseconds(100));
  CHECK(c.copy_rate == 0);
  REQUIRE(c.grpc.size() == 1);
  CHECK(c.grpc[0] ==
        Socket{.name = "containerd", .address = "/run/ipcs/ipcs.sock", .uid = {}, .gid = {}, .mode = 0600});
  CHECK(c.control ==
        Socket{.name = "operator", .address = "/run/ipcs/control.sock", .uid = {}, .gid = {}, .mode = 0600});
  CHECK(c.diff.address.empty());
  CHECK(c.diff.mode == 0600);
  CHECK(c.diff_max_size == 0);
  CHECK(c.metrics_address.empty());
  CHECK(c.trace_address.empty());
  CHECK(c.log_level == log::Level::kInfo);
  CHECK(c.log_format == log::Format::kText);
  CHECK(default_file(root_environment()) == "/etc/ipcs/config.toml");
}

TEST_CASE("defaults of a user follow the XDG directories") {
  Environment user = user_environment();
  CHECK(defaults(user).root == "/home/ann/.local/share/ipcs");
  CHECK(defaults(user).grpc[0].address == "/run/user/1000/ipcs/ipcs.sock");
  CHECK(defaults(user).control.address == "/run/user/1000/ipcs/control.sock");
  CHECK(default_file(user) == "/home/ann/.config/ipcs/config.toml");
  user.variables["XDG_DATA_HOME"] = "/data";
  user.variables["XDG_CONFIG_HOME"] = "relative: to be ignored";
  CHECK(defaults(user).root == "/data/ipcs");
  CHECK(default_file(user) == "/home/ann/.config/ipcs/config.toml");
  user.variables["XDG_CONFIG_HOME"] = "/conf";
  CHECK(default_file(user) == "/conf/ipcs/config.toml");
}

TEST_CASE("what a user's environment does not tell is asked for") {
  Environment bare = user_environment();
  bare.variables.clear();
  CHECK_THAT(error_of([&] { resolve({}, {}, {}, bare); }), Contains("XDG_RUNTIME_DIR is not set; give --address"));
  Settings flags;
  flags.address = "/tmp/a.sock";
  CHECK_THAT(error_of([&] { resolve({}, {}, flags, bare); }), Contains("XDG_RUNTIME_DIR is not set; give --control"));
  flags.root = "/tmp/root";
  CHECK(resolve({}, {}, flags, bare).control.address == "/tmp/root/control.sock");
  bare.home.clear();
  CHECK(default_file(bare).empty());
  flags.root.reset();
  CHECK_THAT(error_of([&] { resolve({}, {}, flags, bare); }), Contains("give --root"));
}

TEST_CASE("plugins are looked for next to the program, where they are") {
  const TempDir prefix;
  Environment environment = root_environment();
  environment.executable = prefix.path() / "bin/ipcsd";
  const std::string plain = prefix.path() / "lib/ipcs/plugins";
  CHECK(defaults(environment).plugin_dirs == std::vector{plain});  // nothing is there: the first
  std::filesystem::create_directories(plain);
  CHECK(defaults(environment).plugin_dirs == std::vector{plain});
}

TEST_CASE("flags win over variables, variables over the file, the file over defaults") {
  Settings file, variables, flags;
  file.root = "/file";
  file.backend = "file";
  file.log_level = log::Level::kError;
  file.log_format = log::Format::kJson;
  file.plugin_dirs = {"/file"};
  variables.root = "/variables";
  variables.backend = "variables";
  variables.plugin_dirs = {"/variables"};
  flags.root = "/flags";
  const Config c = resolved(file, variables, flags);
  CHECK(c.root == "/flags");
  CHECK(c.backend == "variables");
  CHECK(c.plugin_dirs == std::vector<std::string>{"/variables"});
  CHECK(c.log_level == log::Level::kError);
  CHECK(c.log_format == log::Format::kJson);
  CHECK(c.adopt == Adopt::kOperator);
  flags.log_level = log::Level::kDebug;
  CHECK(resolved(file, variables, flags).log_level == log::Level::kDebug);
}

TEST_CASE("the control socket goes with a root from flags or variables") {
  Settings moved, file;
  moved.root = "/srv/x";
  CHECK(resolved({}, {}, moved).control.address == "/srv/x/control.sock");
  CHECK(resolved({}, moved, {}).control.address == "/srv/x/control.sock");
  CHECK(resolved(moved, {}, {}).control.address == "/run/ipcs/control.sock");
  file.control = Socket{.name = "operator", .address = "", .uid = {}, .gid = 7, .mode = 0660};
  CHECK(resolved(file, {}, moved).control ==
        Socket{.name = "operator", .address = "/srv/x/control.sock", .uid = {}, .gid = 7, .mode = 0660});
  file.control->address = "/file/control.sock";
  CHECK(resolved(file, {}, moved).control.address == "/file/control.sock");
  moved.control_address = "/flag/control.sock";
  CHECK(resolved(file, {}, moved).control.address == "/flag/control.sock");
  CHECK(resolved(file, {}, moved).control.mode == 0660u);
}

TEST_CASE("--address keeps the name and owner of the one socket") {
  Settings file, flags;
  flags.address = "/flag.sock";
  CHECK(resolved({}, {}, flags).grpc ==
        std::vector{Socket{.name = "containerd", .address = "/flag.sock", .uid = {}, .gid = {}}});
  file.grpc = {Socket{.name = "one", .address = "/one.sock", .uid = 5, .gid = {}, .mode = 0660}};
  CHECK(resolved(file, {}, flags).grpc ==
        std::vector{Socket{.name = "one", .address = "/flag.sock", .uid = 5, .gid = {}, .mode = 0660}});
  file.grpc.push_back(Socket{.name = "two", .address = "/two.sock", .uid = {}, .gid = {}});
  CHECK_THAT(error_of([&] { resolved(file, {}, flags); }),
             Contains("--address (IPCS_ADDRESS) is for one gRPC socket, but the configuration has 2"));
}

TEST_CASE("checks of the whole") {
  Settings file, flags;
  flags.control_address = "/run/ipcs/ipcs.sock";
  CHECK(error_of([&] { resolved({}, {}, flags); }) ==
        "the control socket and that of containerd have one address: /run/ipcs/ipcs.sock");
  flags.control_address.reset();
  flags.diff_address = "/run/ipcs/ipcs.sock";
  CHECK(error_of([&] { resolved({}, {}, flags); }) ==
        "the diff socket and that of containerd have one address: /run/ipcs/ipcs.sock");
  flags.diff_address = flags.control_address = "/run/ipcs/other.sock";
  CHECK(error_of([&] { resolved({}, {}, flags); }) ==
        "the diff socket and the control socket have one address: /run/ipcs/other.sock");
  flags.diff_address.reset();
  flags.control_address.reset();
  flags.previous = "local";
  CHECK_THAT(error_of([&] { resolved({}, {}, flags); }), Contains("backend and previous are both \"local\""));
  flags.backend = "other";
  CHECK(resolved({}, {}, flags).previous == "local");
  flags.root = '/' + std::string(100, 'r');
  CHECK_THAT(error_of([&] { resolved({}, {}, flags); }),
             Contains("the address of the control socket is 114 bytes long") && Contains("give --control"));
}

TEST_CASE("files that can't be read") {
  const TempDir dir;
  CHECK(error_of([&] { load(dir.path() / "none.toml"); }, Code::kNotFound) ==
        (dir.path() / "none.toml").string() + ": No such file or directory");
  CHECK_THAT(error_of([&] { load(dir.path()); }), Contains("Is a directory"));
  const std::string fits = "version = 1\n#" + std::string((1 << 20) - 13, 'x');
  CHECK_NOTHROW(load(dir.file("fits.toml", fits)));
  CHECK_THAT(error_of([&] { load(dir.file("large.toml", fits + "x")); }),
             Contains("large.toml: the file is larger than 1 MiB"));
  CHECK(error_of([&] { load(dir.file("bad.toml", "version = 1\nrot = 1")); }) ==
        (dir.path() / "bad.toml").string() + ":2: unknown key \"rot\" (did you mean \"root\"?)");
}

TEST_CASE("the default file parses to the defaults") {
  Environment bare = user_environment();
  bare.variables.clear();
  Environment odd = user_environment();
  odd.home = "/home/a\"n\\nä";
  for (const Environment& environment : {root_environment(), user_environment(), odd}) {
    const Settings file = parse(default_text(environment), "default");
    CHECK(resolve(file, {}, {}, environment) == defaults(environment));
    // Not by saying nothing: the keys that have a default are there.
    CHECK(file.root);
    CHECK(file.backend);
    CHECK(file.adopt);
    CHECK(file.grpc.size() == 1);
    CHECK(file.control);
    CHECK(file.metrics_address);
    CHECK(file.trace_address);
    CHECK(file.log_level);
    CHECK(file.log_format);
    CHECK(file.plugins.size() == 1);
  }
  CHECK(parse(default_text(bare), "default").grpc.empty());
}

TEST_CASE("every commented example of the default file holds too") {
  std::string text = default_text(root_environment()), open;
  for (size_t at = 0, end; at < text.size(); at = end + 1) {
    end = text.find('\n', at);
    std::string line = text.substr(at, end - at);
    const size_t equals = line.find(" = ");
    const bool example = line.starts_with("# ") && equals != std::string::npos && line.find(' ', 2) >= equals;
    open += (example ? line.substr(2) : line) + '\n';
  }
  const Settings file = parse(open, "default");
  CHECK(file.plugin_dirs == std::vector<std::string>{"/opt/ipcs/lib/ipcs/plugins"});
  CHECK(file.previous);
  CHECK(file.grpc.at(0).uid == 0u);
  CHECK(file.control->gid == 0u);
  CHECK(json::parse(file.plugins.at("local"))["path"] == "/var/lib/ipcs/local");
}

TEST_CASE("a plugin's JSON, and the path of local") {
  Config c = defaults(root_environment());
  CHECK(json::parse(plugin_json(c, "local")) == json{{"path", "/var/lib/ipcs/local"}});
  CHECK(plugin_json(c, "other") == "{}");
  c.plugins["local"] = R"({"path":"/mine","quota":5})";
  CHECK(json::parse(plugin_json(c, "local")) == json{{"path", "/mine"}, {"quota", 5}});
  c.plugins["other"] = R"({"a":1})";
  CHECK(plugin_json(c, "other") == R"({"a":1})");
}

TEST_CASE("the environment of this process") {
  const Environment environment = Environment::of_process();
  CHECK(environment.euid == ::geteuid());
  CHECK(environment.executable.ends_with("/test_config"));
  CHECK(environment.working_dir == std::filesystem::current_path());
  CHECK(environment.get("PATH") == ::getenv("PATH"));
  CHECK(environment.get("IPCS_NO_SUCH_VARIABLE").empty());
}
