// `ipcsctl plugin check` on real shared objects: sound ones, and each way not to be one.
#include <fmt/format.h>

#include <filesystem>

#include "cli/conformance_case.hpp"
#include "fixture.hpp"

namespace ipcs::test {
namespace {

using Catch::Contains;
using Catch::Matches;
using Catch::StartsWith;

const size_t kCases = cli::case_names().size();
const size_t kExtensions = 5;  // cases about features that none of these plugins has

// A run with a directory of its own for temporary files, which must be empty afterwards.
Result check(std::vector<std::string> args) {
  const TempDir dir;
  const std::string temporary = dir / "tmp";
  std::filesystem::create_directory(temporary);
  args.insert(args.begin(), {"plugin", "check", "--large-blob", "2000000", "--many-ingests", "40"});
  Result result = Run(dir, std::move(args), -1, -1, {"TMPDIR=" + temporary}).wait();
  CHECK(std::filesystem::is_empty(temporary));
  return result;
}

// For backends in memory.
Result check_memory(const std::string& file, std::vector<std::string> more = {}) {
  more.insert(more.begin(), {"--not-durable", "--no-read-only", file});
  return check(std::move(more));
}

std::string built(const std::string& name) {
  return std::string(IPCS_TEST_PLUGINS "/") + name + ".so";
}
std::string bad(const std::string& name) {
  return std::string(IPCS_BAD_PLUGINS "/") + name + ".so";
}

// The names of the cases with this outcome.
std::vector<std::string> with_outcome(const Json& json, const std::string& outcome) {
  std::vector<std::string> names;
  for (const Json& each : json.at("cases")) {
    if (each.at("outcome") == outcome) names.push_back(each.at("name"));
  }
  return names;
}

// Fails in this one case with a message that holds `text`; all others are tried and pass.
void check_one_fault(const std::string& plugin, const std::string& name, const std::string& text,
                     std::vector<std::string> more = {}) {
  INFO(plugin);
  more.insert(more.end(), {"--format", "json"});
  const Result result = check_memory(built(plugin), std::move(more));
  CHECK(result.code == 1);
  CHECK(result.err == "");
  const Json json = result.json();
  CHECK(json.at("name") == plugin);
  CHECK(json.at("cases").size() == kCases);
  CHECK(json.at("passed") == kCases - kExtensions - 4);
  CHECK(json.at("not_offered") == kExtensions + 3);
  REQUIRE(with_outcome(json, "failed") == std::vector{name});
  for (const Json& each : json.at("cases")) {
    if (each.at("name") == name) CHECK_THAT(each.at("message").get<std::string>(), Contains(text));
  }
}

}  // namespace

TEST_CASE("local passes every case, found by its name and by its file") {
  const Result by_name = check({"local", "--plugin-dir", IPCS_PLUGIN_DIR, "--set", "fsync=false"});
  INFO(by_name.out);
  CHECK(by_name.code == 0);
  CHECK(by_name.err == "");
  CHECK_THAT(by_name.out, StartsWith("passed       plugin: the symbol and its tables are complete\n") &&
                              Contains(fmt::format(": {} cases, {} passed, 0 failed, {} not offered\n", kCases, kCases - kExtensions,
                                                   kExtensions)) &&
                              Contains("not offered  car: out and in again: the backend has no ipcs.car/1\n"));
  CHECK(static_cast<size_t>(std::count(by_name.out.begin(), by_name.out.end(), '\n')) == kCases + 1);

  const Result by_file = check({IPCS_PLUGIN_DIR "/local.so", "--set", "fsync=false", "--set", "path={dir}/a/b",
                                "--format", "json", "--case", "store:"});
  CHECK(by_file.code == 0);
  CHECK(by_file.json().at("passed") == 6);
  CHECK(by_file.json().at("path") == IPCS_PLUGIN_DIR "/local.so");
}

TEST_CASE("the example passes; what it is declared not to do is not offered") {
  const Result result = check_memory(IPCS_EXAMPLE_PLUGIN);
  INFO(result.out);
  CHECK(result.code == 0);
  CHECK_THAT(result.out,
             Contains(fmt::format("memory 1.0: {} cases, {} passed, 0 failed, {} not offered\n", kCases, kCases - kExtensions - 3,
                                  kExtensions + 3)) &&
                 Contains("not offered  store: read-only changes nothing: the backend is declared"));
  CHECK(check_memory(IPCS_EXAMPLE_PLUGIN, {"-q"}).out == "");
  // Undeclared, it has not kept its promises.
  const Result undeclared = check({IPCS_EXAMPLE_PLUGIN, "-q"});
  CHECK(undeclared.code == 1);
  CHECK_THAT(undeclared.out, StartsWith("FAILED       store: reopening keeps id and blobs: sha256:"));
  CHECK(std::count(undeclared.out.begin(), undeclared.out.end(), '\n') == 3);
}

TEST_CASE("a plugin built by clang++ with libc++ passes in this g++ program") {
  INFO("needs clang++-14, libc++-14-dev and libc++abi-14-dev at configuration");
  REQUIRE(std::filesystem::exists(IPCS_LIBCXX_PLUGIN));
  const Result result = check_memory(IPCS_LIBCXX_PLUGIN, {"--format", "json"});
  CHECK(result.code == 0);
  const Json json = result.json();
  CHECK_THAT(json.at("build").get<std::string>(), Contains("libc++"));
  CHECK(json.at("passed") == kCases - kExtensions - 3);
  CHECK(json.at("failed") == 0);
}

TEST_CASE("a broken promise fails the case that is about it") {
  check_one_fault("any-digest", "commit: a wrong digest is refused", "succeeded, should be FAILED_PRECONDITION");
}

TEST_CASE("a crash, an exit or a hang costs one case") {
  check_one_fault("abort", "ingest: truncate never lengthens", "crashed with SIGABRT");
  check_one_fault("exit", "ingest: truncate never lengthens", "ended the process with status 0");
  check_one_fault("hang", "blob: quarantined and healed", "did not come to an end within 5000 ms",
                  {"--time-limit", "5s"});
}

TEST_CASE("what no case can be run on is the loader's one line") {
  const TempDir dir;
  write_file(dir / "text.so", "this is no shared object\n");
  const std::string local = file_text(IPCS_PLUGIN_DIR "/local.so");
  write_file(dir / "truncated.so", local.substr(0, local.size() / 2));
  const auto refused = [](const std::string& file, const std::string& text) {
    const Result result = check({file});
    check_failed(result, 1, file + ": ");
    CHECK_THAT(result.err, Contains(text));
    CHECK(result.out == "");
  };
  refused(dir / "text.so", "is not an ELF file");
  refused(dir / "truncated.so", "is truncated");
  refused(dir / "absent.so", "No such file");
  refused(bad("no-symbol"), "does not export ipcs_content_store_v1");
  refused(bad("wrong-major"), "ABI");
  refused(bad("null-function"), "list_blobs");
  refused(bad("ctor-abort"), "crashed with SIGABRT while it was loaded");
  refused(bad("ctor-throw"), "boom in a constructor");
  refused(bad("validate-abort"), "crashed with SIGABRT while its configuration was checked");
  check_failed(check({"locl", "--plugin-dir", IPCS_PLUGIN_DIR}), 1, "did you mean \"local\"?");
}

TEST_CASE("a plugin whose open() is bad fails in each case that is run") {
  const auto fails = [](const std::string& name, const std::string& text) {
    const Result result = check({bad(name), "--case", "symbol", "-q", "--time-limit", "1s"});
    CHECK(result.code == 1);
    CHECK_THAT(result.out,
               StartsWith("FAILED       plugin: the symbol and its tables are complete: ") && Contains(text));
  };
  fails("open-abort", "crashed with SIGABRT");
  fails("open-hang", "did not come to an end within 1000 ms");
  fails("open-null", "open: succeeded without a store");
}

TEST_CASE("the plugin's own table comes from a file, standard input and single settings") {
  const TempDir dir;
  write_file(dir / "table.toml", "quota = \"1GiB\"\nfsync = false\n");
  const auto run = [&](std::vector<std::string> args) {
    args.insert(args.begin(), {IPCS_PLUGIN_DIR "/local.so", "--case", "info has an id", "-q"});
    return check(std::move(args));
  };
  check_out(run({"--config", dir / "table.toml"}), "");
  check_out(run({"--config", dir / "table.toml", "--set", "quota=2GiB", "--set", "full_at=0.99"}), "");
  check_out(run({"--set", "path=\"{dir}/it's\""}), "");
  check_failed(run({"--set", "quta=1"}), 1, "unknown key \"quta\" (did you mean \"quota\"?)");
  check_failed(run({"--set", "quota"}), 2, "setting \"quota\" wants the form key=value");
  check_failed(run({"--set", "a b=1"}), 2, "setting \"a b=1\" wants a TOML key");
  check_failed(run({"--config", dir / "absent.toml"}), 2, "absent.toml: No such file");
  write_file(dir / "table.toml", "quota = \"1GiB\"\nfsync =\n");
  check_failed(run({"--config", dir / "table.toml"}), 2, "table.toml:2: not TOML");
  check_failed(check({IPCS_PLUGIN_DIR "/local.so", "--case", "no such"}), 2, "no case has \"no such\" in its name");
}

TEST_CASE("root runs no plugin that others can change") {
  INFO("needs root, as the daemon's trust does");
  REQUIRE(::geteuid() == 0);
  const TempDir dir;
  const std::string file = dir / "local.so";
  std::filesystem::copy_file(IPCS_PLUGIN_DIR "/local.so", file);
  std::filesystem::permissions(file, std::filesystem::perms(0777));
  check_failed(check({file}), 1, "local.so: is writable by others");
}

TEST_CASE("Ctrl-C ends a check at once and leaves nothing") {
  const TempDir dir;
  std::filesystem::create_directory(dir / "tmp");
  Run run(dir, {"plugin", "check", bad("open-hang")}, -1, -1, {"TMPDIR=" + (dir / "tmp")});
  REQUIRE(eventually([&] { return !std::filesystem::is_empty(dir / "tmp"); }));
  run.kill(SIGINT);
  const Result result = run.wait();
  CHECK(result.signal == SIGINT);
  CHECK_THAT(result.err, Contains("interrupted"));
  CHECK(std::filesystem::is_empty(dir / "tmp"));
}

}  // namespace ipcs::test
