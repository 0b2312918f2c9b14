// Plugins in this process: checks, services, and open() with a deadline.
#include "plugin/loader.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <map>

#include "host/plugin/files.hpp"
#include "plugin/elf_peek.hpp"
#include "plugin/probe.hpp"

using namespace ipcs;
using namespace ipcs::loader;
using namespace ipcs::loader::test;
using std::chrono::milliseconds;

namespace {

OpenRequest request(const std::string& config = "{}") {
  OpenRequest r;
  r.config_json = config;
  return r;
}

std::string open_error(const std::string& plugin, OpenRequest r = request()) {
  const LoadedPlugin loaded = LoadedPlugin::load(built(plugin));
  return error_of([&] { loaded.open(std::move(r)); }).what();
}

}  // namespace

TEST_CASE("a good plugin is loaded, validated and opened") {
  const TempDir dir;
  dir.write("left-over", "from before");
  std::map<std::string, double> metrics;
  std::string progress;
  HostServices services;
  services.metric = [&](std::string_view name, ipcs_metric_kind, double value) { metrics[std::string(name)] += value; };
  services.scratch_dir = dir.path("scratch");
  std::filesystem::create_directories(dir.path("scratch/deep"));
  dir.write("scratch/deep/old", "x");

  const LoadedPlugin plugin = LoadedPlugin::load(built("good"));
  CHECK(plugin.name() == "good");
  CHECK(plugin.path() == built("good"));
  plugin.validate("{}", services);
  const Error wrong = error_of([&] { plugin.validate("{\"colour\":1}", services); });
  CHECK(wrong.code() == Code::kInvalidArgument);
  CHECK(std::string(wrong.what()) == "plugin good: unknown key \"colour\" (did you mean \"color\"?)");
  CHECK(std::filesystem::exists(dir.path("scratch/deep/old")));  // validate() has no side effects

  OpenRequest r = request();
  r.read_only = true;
  r.services = services;
  r.deadline = Call::Clock::now() + std::chrono::seconds(30);
  {
    const Store store = plugin.open(std::move(r));
    const StoreInfo info = store.info(Call());
    CHECK(info.id == "good-store");
    CHECK(info.read_only);
    CHECK(info.location == dir.path("scratch"));
    Call follow;
    follow.set_progress([&](std::string_view subject, uint64_t done, uint64_t total) {
      progress = std::string(subject) + " " + std::to_string(done) + "/" + std::to_string(total);
    });
    CHECK_FALSE(store.stat_blob(follow, "sha256:" + std::string(64, '0')));
    CHECK_FALSE(std::filesystem::exists(dir.path("scratch/deep")));
    CHECK(std::filesystem::exists(dir.path("scratch/used")));
    CHECK(std::filesystem::exists(dir.path("left-over")));
    CHECK(metrics == std::map<std::string, double>{{"opens", 2}, {"level", 0.5}});  // bad names and values dropped
    CHECK(progress == "search 3/4");
  }
  CHECK(metrics["closes"] == 1);

  const Error refused = error_of([&] { plugin.open(request("refuse")); });
  CHECK(refused.code() == Code::kUnavailable);
  CHECK(std::string(refused.what()) == "plugin good: told to refuse");
}

TEST_CASE("one plugin serves two stores at once") {
  const LoadedPlugin plugin = LoadedPlugin::load(built("good"));
  const Store first = plugin.open(request());
  const Store second = LoadedPlugin::load(built("good")).open(request());
  CHECK(first.info(Call()).id == second.info(Call()).id);
}

TEST_CASE("a sink that throws does not unwind through the plugin") {
  HostServices services;
  services.metric = [](std::string_view, ipcs_metric_kind, double) { throw std::runtime_error("full"); };
  OpenRequest r = request();
  r.services = services;
  CHECK(LoadedPlugin::load(built("good")).open(std::move(r)).info(Call()).id == "good-store");
}

TEST_CASE("a scratch directory is never emptied through a link") {
  const TempDir dir;
  std::filesystem::create_directory(dir.path("precious"));
  dir.write("precious/file", "x");
  REQUIRE(::symlink(dir.path("precious").c_str(), dir.path("scratch").c_str()) == 0);
  OpenRequest r = request();
  r.services.scratch_dir = dir.path("scratch");
  CHECK(contains(open_error("good", std::move(r)), "exists and is not a directory"));
  CHECK(std::filesystem::exists(dir.path("precious/file")));
}

TEST_CASE("tables of other minors are used as far as they go") {
  // Minor 0: the host falls back to remove_blob, which this plugin answers with UNIMPLEMENTED.
  Store old = LoadedPlugin::load(built("minor-0")).open(request());
  CHECK(error_of([&] { old.quarantine_blob(Call(), "sha256:00"); }).code() == Code::kUnimplemented);
  CHECK(old.ops()->struct_size == offsetof(ipcs_store_ops, quarantine_blob));
  const Store larger = LoadedPlugin::load(built("larger")).open(request());
  CHECK(larger.ops()->struct_size > sizeof(ipcs_store_ops));
}

TEST_CASE("a plugin in C of the header of ABI 1.0 and one with tables of a later version are loaded") {
  constexpr const char* kHello = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
  const auto [file, name, minor] = GENERATE(table<std::string, std::string, uint32_t>({
      {"old_header", "old-header", 0},
      {"larger_tables", "larger-tables", IPCS_ABI_MINOR + 7},
  }));
  const std::string path = IPCS_API_TEST_PLUGINS "/" + file + ".so";
  const PluginFacts facts = peek(path);
  CHECK(facts.name == name);
  CHECK(facts.abi_minor == minor);
  probe(path, "{}", {});
  CHECK(contains(error_of([&] { probe(path, "{\"a\":1}", {}); }).what(), "this store knows no keys"));
  const LoadedPlugin plugin = LoadedPlugin::load(path);
  CHECK(plugin.name() == name);
  Store store = plugin.open(request());
  CHECK(store.info(Call()).id == name);
  {
    const BlobReader reader = store.open_blob(Call(), kHello);
    std::array<uint8_t, 8> bytes{};
    CHECK(reader.read_cached(0, bytes) == 0);  // neither plugin has it
    REQUIRE(reader.read_at(Call(), 0, bytes) == 5);
    CHECK(std::string(bytes.begin(), bytes.begin() + 5) == "hello");
  }
  CHECK(store.quarantine_blob(Call(), kHello));  // neither has it: the blob is removed
  CHECK_FALSE(store.stat_blob(Call(), kHello));
}

TEST_CASE("a file that can't be loaded or breaks the ABI is one line") {
  const TempDir dir;
  const auto [name, fault] = GENERATE(table<std::string, std::string>({
      {"null-function", "table `store` lacks the function list_blobs; build it"},
      {"null-table", "has no table `ingest`"},
      {"small-table", "table `store` says that it has"},
      {"wrong-major", "built for ABI major 3"},
      {"no-symbol", "does not export ipcs_content_store_v1"},
  }));
  const auto line = [](const std::string& path) -> std::string {
    return error_of([&] { LoadedPlugin::load(path); }).what();
  };
  CHECK(contains(line(built(name)), built(name) + ": "));
  CHECK(contains(line(built(name)), fault));
  CHECK(line(dir.path("none.so")) ==
        dir.path("none.so") + ": cannot be loaded: cannot open shared object file: No such file or directory");
}

TEST_CASE("open() that breaks its contract is one line") {
  CHECK(open_error("open-throw") == "plugin open-throw: let an exception out: boom in open");
  CHECK(open_error("open-null") == "plugin open-null: open() succeeded without a store");
}

TEST_CASE("open() that hangs is given up after deadline and grace") {
  OpenRequest r = request();
  const auto start = Call::Clock::now();
  r.deadline = start + milliseconds(100);
  r.grace = milliseconds(100);
  const LoadedPlugin plugin = LoadedPlugin::load(built("open-hang"));
  const Error e = error_of([&] { plugin.open(std::move(r)); });
  CHECK(e.code() == Code::kDeadlineExceeded);
  CHECK(std::string(e.what()) == "plugin open-hang: open() did not come to an end in time; it hangs");
  CHECK(Call::Clock::now() - start >= milliseconds(200));
  CHECK(Call::Clock::now() - start < std::chrono::seconds(10));
}

TEST_CASE("open() that comes back late is waited for within the grace, and otherwise closes its store") {
  // The plugin returns 300 ms after it was cancelled.
  const LoadedPlugin plugin = LoadedPlugin::load(built("open-late"));
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  ::setenv("IPCS_TEST_CLOSE_FD", std::to_string(ends[1]).c_str(), 1);
  OpenRequest patient = request();
  patient.deadline = Call::Clock::now() + milliseconds(50);
  patient.grace = std::chrono::seconds(30);
  char closed = 0;
  { const Store store = plugin.open(std::move(patient)); }
  REQUIRE(::read(ends[0], &closed, 1) == 1);

  OpenRequest hasty = request();
  hasty.deadline = Call::Clock::now() + milliseconds(50);
  hasty.grace = milliseconds(1);
  CHECK(error_of([&] { plugin.open(std::move(hasty)); }).code() == Code::kDeadlineExceeded);
  closed = 0;
  REQUIRE(::read(ends[0], &closed, 1) == 1);  // blocks until the thread that was left behind has closed it
  CHECK(closed == 'c');
  ::unsetenv("IPCS_TEST_CLOSE_FD");
  ::close(ends[0]);
  ::close(ends[1]);
}

#ifndef __SANITIZE_THREAD__  // its runtime refuses the thread that open() starts in a forked process
TEST_CASE("open() that aborts ends the process with one line and status 1") {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const LoadedPlugin plugin = LoadedPlugin::load(built("open-abort"));
  const pid_t pid = ::fork();  // this program has no other threads here that matter
  REQUIRE(pid >= 0);
  if (pid == 0) {
    ::dup2(ends[1], STDERR_FILENO);
    try {
      plugin.open(request());
    } catch (...) {
    }
    ::_exit(77);
  }
  ::close(ends[1]);
  std::string line;
  char c;
  while (::read(ends[0], &c, 1) == 1) line += c;
  ::close(ends[0]);
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 1);
  CHECK(line == "ipcsd: plugin open-abort: " + built("open-abort") + ": open() crashed with SIGABRT\n");
}
#endif

TEST_CASE("after open() the signal handlers are those of before") {
  struct sigaction mine {
  }, before{}, after{};
  mine.sa_handler = [](int) {};
  REQUIRE(::sigaction(SIGFPE, &mine, &before) == 0);
  { const Store store = LoadedPlugin::load(built("good")).open(request()); }
  REQUIRE(::sigaction(SIGFPE, &before, &after) == 0);
  CHECK(after.sa_handler == mine.sa_handler);
}
