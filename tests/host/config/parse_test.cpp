// The file format: every key, every kind of mistake.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "config/config.hpp"
#include "host/config/fixture.hpp"

using namespace ipcs;
using namespace ipcs::config;
using Catch::Matchers::Contains;
using nlohmann::json;

namespace {

Settings settings_of(const std::string& text) {
  return parse(text, "config.toml");
}
std::string wrong(const std::string& text) {
  return error_of([&] { settings_of(text); });
}

}  // namespace

TEST_CASE("every key") {
  const Settings s = settings_of(R"(version = 1
root = "/srv/ipcs/"
plugin_dirs = ["/opt/plugins", "/usr/lib/ipcs/plugins"]
backend = "ipfs-http"
previous = "local"
adopt = "containerd"
look_up_timeout = "1s"
copy_rate = "16MiB"
[[grpc]]
name = "one"
address = "unix:///run/one.sock"
uid = "root"
gid = 1000
mode = "0660"
[[grpc]]
name = "two-2"
address = "/run/../run/two.sock"
mode = 0o600
[control]
address = "/run/control.sock"
gid = "root"
mode = 0o660
[diff]
address = "/run/diff.sock"
mode = "0600"
max_size = "3MiB"
[metrics]
address = "127.0.0.1:9095"
[trace]
address = "collector.example:4317"
[log]
level = "debug"
format = "json"
[plugins.ipfs-http]
api = "http://127.0.0.1:5001"
retry = { times = 3, wait = 1.5, on = [true, "never"] }
[plugins.local]
)");
  CHECK(s.root == "/srv/ipcs");
  CHECK(s.plugin_dirs == std::vector<std::string>{"/opt/plugins", "/usr/lib/ipcs/plugins"});
  CHECK(s.backend == "ipfs-http");
  CHECK(s.previous == "local");
  CHECK(s.adopt == Adopt::kContainerd);
  CHECK(s.look_up_timeout == std::chrono::milliseconds(1000));
  CHECK(s.copy_rate == 16 << 20);
  REQUIRE(s.grpc.size() == 2);
  CHECK(s.grpc[0] == Socket{.name = "one", .address = "/run/one.sock", .uid = 0, .gid = 1000, .mode = 0660});
  CHECK(s.grpc[1] == Socket{.name = "two-2", .address = "/run/two.sock", .uid = {}, .gid = {}, .mode = 0600});
  CHECK(s.control == Socket{.name = "operator", .address = "/run/control.sock", .uid = {}, .gid = 0, .mode = 0660});
  CHECK(s.diff_address == "/run/diff.sock");
  CHECK(s.diff_max_size == 3U << 20);
  CHECK(s.metrics_address == "127.0.0.1:9095");
  CHECK(s.trace_address == "collector.example:4317");
  CHECK(s.log_level == log::Level::kDebug);
  CHECK(s.log_format == log::Format::kJson);
  REQUIRE(s.plugins.size() == 2);
  CHECK(json::parse(s.plugins.at("ipfs-http")) ==
        json::parse(R"({"api":"http://127.0.0.1:5001","retry":{"times":3,"wait":1.5,"on":[true,"never"]}})"));
  CHECK(s.plugins.at("local") == "{}");
}

TEST_CASE("the diff socket is its owner's alone") {
  CHECK(settings_of("version = 1\n[diff]\naddress = \"\"").diff_address == "");
  CHECK_THAT(wrong("version = 1\n[diff]\naddress = \"/run/d.sock\"\nmode = \"0660\""),
             Contains("config.toml:4: \"mode\" lets group or world connect"));
  CHECK_THAT(wrong("version = 1\n[diff]\nmode = 0o602"), Contains("lets group or world connect"));
  CHECK_THAT(wrong("version = 1\n[diff]\nuid = 12345"), Contains("\"uid\" gives the socket to another user"));
  for (const char* bad : {"", "GiB", "-1", "1.5GiB", "1 GiB", "99999999TiB"}) {
    CHECK_THAT(wrong("version = 1\n[diff]\nmax_size = \"" + std::string(bad) + "\""), Contains("wants a number of bytes"));
  }
}

TEST_CASE("a file that says nothing sets nothing") {
  const Settings s = settings_of("version = 1");
  CHECK_FALSE(s.root);
  CHECK_FALSE(s.plugin_dirs);
  CHECK(s.grpc.empty());
  CHECK_FALSE(s.control);
  CHECK_FALSE(s.log_level);
  CHECK(s.plugins.empty());
}

TEST_CASE("the only client may go without a name") {
  const Settings s = settings_of("version = 1\n[[grpc]]\naddress = \"/a.sock\"");
  REQUIRE(s.grpc.size() == 1);
  CHECK(s.grpc[0].name == "containerd");
}

TEST_CASE("an unknown key names the file, the line and the nearest key") {
  CHECK(wrong("version = 1\n\n[[grpc]]\nname = \"a\"\naddress = \"/a.sock\"\nadress = \"/b.sock\"") ==
        "config.toml:6: unknown key \"adress\" (did you mean \"address\"?)");
  CHECK(wrong("version = 1\nrot = 1") == "config.toml:2: unknown key \"rot\" (did you mean \"root\"?)");
  CHECK(wrong("version = 1\n[log]\ncolour = true") ==
        "config.toml:3: unknown key \"colour\" (known here: level, format)");
  CHECK(wrong("version = 1\n[[gprc]]\naddress = \"/a\"") ==
        "config.toml:2: unknown key \"gprc\" (did you mean \"grpc\"?)");
  CHECK(wrong("version = 1\n\"a\\nb\" = 1").find('\n') == std::string::npos);
}

TEST_CASE("all problems of a file are told, a line each, in its order") {
  CHECK(wrong("version = 1\nroot = 5\nbackend = \"Local\"\n[log]\nlevel = \"loud\"\nformt = \"json\"\n[[grpc]]\n") ==
        "config.toml:2: \"root\" wants a string, not an integer\n"
        "config.toml:3: \"backend\" wants a plugin's name (a-z, then a-z, 0-9 and -, at most 32), not \"Local\"\n"
        "config.toml:5: \"level\" wants \"debug\", \"info\", \"warn\" or \"error\", not \"loud\"\n"
        "config.toml:6: unknown key \"formt\" (did you mean \"format\"?)\n"
        "config.toml:7: \"address\" is missing in this [[grpc]]");
}

TEST_CASE("the version") {
  CHECK(wrong("") == "config.toml: \"version\" is missing: begin the file with version = 1");
  CHECK(wrong("version = 2\nnew_key = 1") == "config.toml:1: \"version\" is 2, but this program reads version 1");
  CHECK(wrong("version = \"1\"") == "config.toml:1: \"version\" wants the number 1, not a string");
}

TEST_CASE("what is not TOML names the line") {
  CHECK_THAT(wrong("version = 1\nroot = \"/a\n"), Contains("config.toml:2: not TOML: "));
  CHECK_THAT(wrong("version = 1\nversion = 1\n"), Contains("config.toml:2: not TOML: "));
  CHECK_THAT(wrong("version = 1\nroot = \"\xff\"\n"), Contains("config.toml:2: not TOML: "));
  CHECK_THAT(wrong("version = 1\n[[grpc]]\naddress = \"/a\"\nmode = 0660\n"), Contains("config.toml:4: not TOML: "));
  CHECK(wrong(std::string("version = 1\n\0\x1b[31m", 18)).find('\x1b') == std::string::npos);
}

TEST_CASE("a key of any depth is refused before it can hurt") {
  std::string deep = "version = 1\n";
  for (int i = 0; i < 500'000; ++i) deep += "a.";
  CHECK(wrong(deep + "a = 1") == "config.toml:2: tables or keys nested deeper than 32 levels");
}

TEST_CASE("text outside of ASCII is fine where TOML has it") {
  const Settings s =
      settings_of("version = 1 # größe\n[plugins.local]\n\"größe\" = \"漢\"\nb = \"\"\"a\\\n  b ä\"\"\"");
  CHECK(json::parse(s.plugins.at("local")) == json{{"größe", "漢"}, {"b", "ab ä"}});
  CHECK_THAT(wrong("version = 1\ngröße = 1"), Contains("config.toml:2: a character outside of ASCII"));
}

TEST_CASE("the time for a look-up") {
  const auto timeout = [](const std::string& text) {
    return settings_of("version = 1\nlook_up_timeout = \"" + text + "\"").look_up_timeout;
  };
  CHECK(timeout("250ms") == std::chrono::milliseconds(250));
  CHECK(timeout("10s") == std::chrono::milliseconds(10'000));
  CHECK(timeout("0") == std::chrono::milliseconds(0));
  for (const char* bad : {"", "5", "ms", "11s", "10001ms", "-1s", "1 s", "1.5s"}) {
    INFO(bad);
    CHECK_THAT(wrong("version = 1\nlook_up_timeout = \"" + std::string(bad) + "\""),
               Contains("config.toml:2: \"look_up_timeout\" wants a time such as"));
  }
}

TEST_CASE("the rate of a copy") {
  const auto rate = [](const std::string& text) {
    return settings_of("version = 1\ncopy_rate = \"" + text + "\"").copy_rate;
  };
  CHECK(rate("0") == 0);
  CHECK(rate("500KiB") == 500 << 10);
  CHECK(rate("2GiB") == uint64_t{2} << 30);
  for (const char* bad : {"", "MiB", "-1MiB", "1 MiB", "1.5MiB", "1MB", "99999999999GiB"}) {
    INFO(bad);
    CHECK_THAT(wrong("version = 1\ncopy_rate = \"" + std::string(bad) + "\""),
               Contains("config.toml:2: \"copy_rate\" wants a number of bytes such as"));
  }
}

TEST_CASE("a value of the wrong kind") {
  const std::string v = "version = 1\n";
  CHECK(wrong(v + "log = 5") == "config.toml:2: \"log\" wants a table, not an integer");
  CHECK(wrong(v + "grpc = 5") == "config.toml:2: \"grpc\" wants [[grpc]] tables, with two brackets, not an integer");
  CHECK(wrong(v + "[grpc]") == "config.toml:2: \"grpc\" wants [[grpc]] tables, with two brackets, not a table");
  CHECK(wrong(v + "grpc = [1]") == "config.toml:2: \"grpc\" wants [[grpc]] tables, not an array with an integer");
  CHECK(wrong(v + "plugin_dirs = \"/a\"") == "config.toml:2: \"plugin_dirs\" wants an array of strings, not a string");
  CHECK(wrong(v + "plugin_dirs = [\n\"/a\",\ntrue]") ==
        "config.toml:4: \"plugin_dirs\" wants an array of strings, not one with a boolean");
  CHECK(wrong(v + "plugins = 1.5") == "config.toml:2: \"plugins\" wants a table, not a floating-point number");
  CHECK(wrong(v + "plugins.local = []") == "config.toml:2: \"plugins.local\" wants a table, not an array");
  CHECK(wrong(v + "root = 2026-01-01") == "config.toml:2: \"root\" wants a string, not a date or time");
}

TEST_CASE("paths are absolute and plain") {
  const std::string v = "version = 1\n";
  CHECK(wrong(v + "root = \"state\"") == "config.toml:2: \"root\" wants an absolute path, not \"state\"");
  CHECK(wrong(v + "root = \"\"") == "config.toml:2: \"root\" wants an absolute path, not \"\"");
  CHECK(wrong(v + "plugin_dirs = [\"/a\", \"b\"]") ==
        "config.toml:2: \"plugin_dirs\" wants an absolute path, not \"b\"");
  CHECK(wrong(v + "root = \"/a\\u0000b\"") ==
        "config.toml:2: \"root\" wants a path without control characters, not \"/a\\x00b\"");
  CHECK(settings_of(v + "root = \"/a/./b/../c//\"").root == "/a/c");
}

TEST_CASE("socket addresses fit into sockaddr_un") {
  const auto file = [](const std::string& address) { return "version = 1\n[control]\naddress = \"" + address + '"'; };
  const std::string longest = '/' + std::string(106, 'a');
  CHECK(settings_of(file(longest)).control->address == longest);
  CHECK(settings_of(file("unix://" + longest)).control->address == longest);
  CHECK_THAT(wrong(file(longest + 'a')),
             Contains("config.toml:3: \"address\" is 108 bytes long, but the path of a unix "
                      "socket has at most 107: \"/aaaa"));
  CHECK_THAT(wrong(file("run/a.sock")), Contains("wants an absolute path"));
  CHECK_THAT(wrong(file("unix://a.sock")), Contains("wants an absolute path"));
  CHECK_THAT(wrong(file("tcp://127.0.0.1:80")), Contains("wants an absolute path"));
}

TEST_CASE("names of clients") {
  const auto file = [](const std::string& name) {
    return "version = 1\n[[grpc]]\naddress = \"/a.sock\"\nname = \"" + name + '"';
  };
  CHECK(settings_of(file("k3s-agent-1")).grpc[0].name == "k3s-agent-1");
  for (const char* name : {"", "K3s", "1a", "-a", "a_b", "a b", "ä"})
    CHECK_THAT(wrong(file(name)), Contains("config.toml:4: \"name\" wants a name"));
  CHECK_THAT(wrong(file(std::string(33, 'a'))), Contains("\"name\" wants a name"));
  CHECK_THAT(wrong(file("operator")), Contains("\"name\" can't be \"operator\""));
  CHECK(wrong(file("a") + "\n[[grpc]]\nname = \"a\"\naddress = \"/a.sock\"") ==
        "config.toml:6: \"name\" is \"a\" in two [[grpc]] tables\n"
        "config.toml:7: \"address\" is \"/a.sock\" in two [[grpc]] tables");
}

TEST_CASE("owners and modes of a socket") {
  const auto file = [](const std::string& line) { return "version = 1\n[control]\n" + line; };
  CHECK(settings_of(file("uid = \"0\"")).control->uid == 0u);
  CHECK(settings_of(file("uid = 4294967294")).control->uid == 4294967294u);
  CHECK_THAT(wrong(file("uid = 4294967295")), Contains("\"uid\" wants an id from 0 to 4294967294"));
  CHECK_THAT(wrong(file("gid = -1")), Contains("config.toml:3: \"gid\" wants an id from 0"));
  CHECK_THAT(wrong(file("gid = true")), Contains("\"gid\" wants an id or a name, not a boolean"));
  CHECK(wrong(file("uid = \"no-such-user\"")) == "config.toml:3: \"uid\" names no user that exists: \"no-such-user\"");
  CHECK(wrong(file("gid = \"no-such-group\"")) ==
        "config.toml:3: \"gid\" names no group that exists: \"no-such-group\"");
  CHECK_THAT(wrong(file("uid = \"root\\u0000x\"")), Contains("names no user"));
  CHECK(settings_of(file("mode = \"0o640\"")).control->mode == 0640u);
  CHECK(settings_of(file("mode = \"777\"")).control->mode == 0777u);
  CHECK(wrong(file("mode = 660")) ==
        "config.toml:3: \"mode\" wants octal permissions, \"0660\" or 0o660, not the decimal number 660");
  CHECK_THAT(wrong(file("mode = 0o1777")), Contains("at most 0777, not 0o1777"));
  for (const char* mode : {"1777", "rw", "0680", "", "-1", "0x1ff", "+0660"})
    CHECK_THAT(wrong(file("mode = \"" + std::string(mode) + '"')), Contains("\"mode\" wants octal permissions"));
  CHECK_THAT(wrong(file("mode = true")), Contains("not a boolean"));
}

TEST_CASE("the metrics address") {
  const auto file = [](const std::string& address) { return "version = 1\n[metrics]\naddress = \"" + address + '"'; };
  for (const char* address : {"", "127.0.0.1:9095", "localhost:1", "0.0.0.0:65535", "node-1.example.org:80"})
    CHECK(settings_of(file(address)).metrics_address == address);
  for (const char* address : {"9095", ":9095", "a:", "a:0", "a:65536", "a:b", "::1:80", "a b:80", "a:80x", "a,b:80"})
    CHECK_THAT(wrong(file(address)), Contains("config.toml:3: \"address\" wants host:port"));
  CHECK_THAT(wrong(file("[::1]:80")), Contains("config.toml:3: \"address\" wants an IPv4 address or a host name"));
}

TEST_CASE("what JSON can't hold is refused in a plugin's table") {
  const std::string v = "version = 1\n[plugins.local]\n";
  CHECK(wrong(v + "since = 2026-01-01") ==
        "config.toml:3: \"plugins.local.since\" is a date or time, which a plugin's configuration can't hold: write a "
        "string");
  CHECK_THAT(wrong(v + "[plugins.local.a]\nb = [1, 12:00:00]"),
             Contains("config.toml:4: \"plugins.local.a.b\" is a date or time"));
  CHECK_THAT(wrong(v + "x = inf\ny = nan"), Contains("config.toml:3: \"plugins.local.x\" is an infinite number"));
  CHECK_THAT(wrong("version = 1\n[plugins.Local]"),
             Contains("config.toml:2: a table of [plugins] wants a plugin's name"));
}
