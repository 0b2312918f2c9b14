// The probe: what every bad plugin comes to in a process of its own, and that this one lives on.
#include "plugin/probe.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "host/plugin/files.hpp"

using namespace ipcs;
using namespace ipcs::loader;
using namespace ipcs::loader::test;

namespace {

// Long enough for a sanitized build on a busy machine, where nothing hangs.
const ProbeOptions kPatient{"/proc/self/exe", std::chrono::seconds(30)};

Error probe_error(const std::string& path, const std::string& config = "{}", const ProbeOptions& options = kPatient) {
  return error_of([&] { probe(path, config, options); });
}

size_t open_descriptors() {
  const std::filesystem::directory_iterator fds("/proc/self/fd");
  return static_cast<size_t>(std::distance(begin(fds), end(fds)));
}

}  // namespace

TEST_CASE("a good plugin passes its probe") {
  probe(built("good"), "{}", kPatient);
  probe(built("good-relr"), "", kPatient);
  probe(built("minor-0"), "{}", kPatient);
  probe(built("larger"), "{}", kPatient);
  probe(built("dtor-abort"), "{}", kPatient);    // destructors are not run
  CHECK(::waitpid(-1, nullptr, WNOHANG) == -1);  // no child is left
}

TEST_CASE("the configuration reaches validate() whole, whatever its size") {
  const std::string large(3 << 20, ' ');
  probe(built("good"), large, kPatient);
  const Error e = probe_error(built("good"), large + "colour");
  CHECK(e.code() == Code::kInvalidArgument);
  CHECK(std::string(e.what()) == built("good") + ": plugin good: unknown key \"colour\" (did you mean \"color\"?)");
}

#ifdef __SANITIZE_THREAD__  // its runtime ends a process that exits in a constructor with a status of its own
constexpr const char* kExitFault = "ended the process with status 66 while it was loaded";
#else
constexpr const char* kExitFault = "ended the process with status 0 while it was loaded";
#endif

TEST_CASE("every bad plugin is one line, and the host lives") {
  const auto [name, fault] = GENERATE(table<std::string, std::string>({
      {"ctor-throw", "boom in a constructor"},
      {"ctor-abort", "crashed with SIGABRT while it was loaded"},
      {"ctor-segv", "crashed with SIGSEGV while it was loaded"},
      {"ctor-exit", kExitFault},
      {"validate-throw", "let an exception out: boom in validate"},
      {"validate-abort", "crashed with SIGABRT while its configuration was checked"},
      {"validate-silent", "the plugin gave no message"},
      {"validate-odd-code", "the plugin gave no message"},
      {"wrong-magic", "magic number"},
      {"wrong-major", "built for ABI major 3"},
      {"small-struct", "says that it has 40 bytes"},
      {"small-table", "table `store` says that it has"},
      {"null-table", "has no table `ingest`"},
      {"null-function", "table `store` lacks the function list_blobs"},
      {"null-text", "has no build"},
      {"null-open", "lacks the function open"},
      {"bad-name", "has the name \"Bad Name\""},
      {"no-symbol", "does not export ipcs_content_store_v1"},
  }));
  const Error e = probe_error(built(name));
  INFO(e.what());
  CHECK(contains(e.what(), built(name) + ": "));
  CHECK(contains(e.what(), fault));
}

TEST_CASE("a plugin that hangs is ended after the time limit") {
  const auto [name, phase] = GENERATE(table<std::string, std::string>({
      {"ctor-hang", "while it was loaded"},
      {"validate-hang", "while its configuration was checked"},
  }));
  const auto start = std::chrono::steady_clock::now();
  const Error e = probe_error(built(name), "{}", {"/proc/self/exe", std::chrono::milliseconds(1500)});
  const auto took = std::chrono::steady_clock::now() - start;
  CHECK(e.code() == Code::kDeadlineExceeded);
  CHECK(contains(e.what(), "did not come to an end within 1500 ms"));
  INFO(e.what());
  CHECK(contains(e.what(), phase));
  CHECK(took >= std::chrono::milliseconds(1500));
  CHECK(took < std::chrono::seconds(10));
  CHECK(::waitpid(-1, nullptr, WNOHANG) == -1);
}

TEST_CASE("what a plugin prints is not taken for the result, and what it starts ends with it") {
  const auto start = std::chrono::steady_clock::now();
  probe(built("ctor-print"), "{}", kPatient);
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(20));  // its child holds the pipes
}

TEST_CASE("files that no peek has seen are one line as well") {
  const TempDir dir;
  CHECK(contains(probe_error(dir.write("text.so", "hello")).what(), "text.so: cannot be loaded: "));
  CHECK(contains(probe_error(dir.path("none.so")).what(), "none.so: cannot be loaded: "));
  std::vector<uint8_t> cut = bytes_of(built("good"));
  cut.resize(0x3000);  // within the code segment: the dynamic linker itself may crash on this
  CHECK(contains(probe_error(dir.write("cut.so", cut)).what(), "cut.so: "));
}

TEST_CASE("a program that is no probe is told apart") {
  const Error missing = probe_error(built("good"), "{}", {"/nonexistent/ipcsd", std::chrono::seconds(5)});
  CHECK(missing.code() == Code::kInternal);
  CHECK(contains(missing.what(), "its probe cannot be started: /nonexistent/ipcsd"));
  CHECK(contains(probe_error(built("good"), "{}", {"/bin/true", std::chrono::seconds(5)}).what(),
                 "ended the process with status 0 before it was loaded"));
}

TEST_CASE("blocked signals and descriptors of the host do not reach the plugin or stay behind") {
  sigset_t all, before;
  ::sigfillset(&all);
  REQUIRE(::pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
  const size_t descriptors = open_descriptors();
  for (int i = 0; i < 3; ++i) CHECK(contains(probe_error(built("ctor-abort")).what(), "SIGABRT"));
  CHECK(open_descriptors() == descriptors);
  REQUIRE(::pthread_sigmask(SIG_SETMASK, &before, nullptr) == 0);
}
