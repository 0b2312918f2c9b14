// Plugin directories: what is found, what is refused, what is chosen.
#include "plugin/registry.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include "host/plugin/files.hpp"

using namespace ipcs;
using namespace ipcs::loader;
using namespace ipcs::loader::test;

namespace {

constexpr Identity kUser{1000, false};  // nothing is refused for its owner or mode
const ProbeOptions kPatient{"/proc/self/exe", std::chrono::seconds(30)};

const PluginFile& file_named(const Registry& registry, const std::string& path) {
  for (const PluginFile& file : registry.files())
    if (file.path == path) return file;
  throw Error(Code::kNotFound, path);
}

}  // namespace

TEST_CASE("a directory of bad files costs a line each, and the good one is loaded") {
  const TempDir dir;
  // All the faults that only running the code shows are not even noticed; the others are one line each.
  for (const char* name : {"ctor-abort", "ctor-hang", "ctor-throw", "ctor-exit", "open-hang", "validate-abort"})
    dir.copy(name, std::string(name) + ".so");
  dir.copy("good", "good.so");
  dir.copy("next-major", "next-major.so");
  dir.copy("no-symbol", "no-symbol.so");
  dir.copy("wrong-magic", "wrong-magic.so");
  dir.write("text.so", "hello\nworld");
  dir.write("empty.so", "");
  std::vector<uint8_t> cut = bytes_of(built("good"));
  cut.resize(cut.size() - 100);
  dir.write("cut.so", cut);
  dir.write("README", "not a plugin");
  dir.write(".hidden.so", "passed over");

  const Registry registry = Registry::scan({dir.path()}, kUser);
  CHECK(registry.files().size() == 13);
  const std::vector<std::string> warnings = registry.warnings({"good"});
  CHECK(warnings.size() == 6);
  for (const std::string& line : warnings) {
    INFO(line);
    CHECK(contains(line, dir.path()));
    CHECK_FALSE(contains(line, "\n"));
  }
  CHECK(registry.warnings({"text"}).size() == 5);  // select() says it

  const LoadedPlugin plugin = registry.load("good", "{}", kPatient);
  OpenRequest request;
  request.config_json = "{}";
  CHECK(plugin.open(std::move(request)).info(Call()).id == "good-store");

  const Error text = error_of([&] { registry.select("text"); });
  CHECK(text.code() == Code::kFailedPrecondition);
  CHECK(contains(text.what(), "text.so: is not an ELF file"));
  const Error crash = error_of([&] { registry.load("ctor-abort", "{}", kPatient); });
  CHECK(contains(crash.what(), "crashed with SIGABRT while it was loaded"));
  CHECK(error_of([&] { registry.load("good", "colour", kPatient); }).code() == Code::kInvalidArgument);
}

TEST_CASE("the list view tells name, version, description, build, path and state") {
  const TempDir dir;
  const std::string path = dir.copy("good", "other-file-name.so");
  dir.write("text.so", "hello");
  const Registry registry = Registry::scan({dir.path()}, kUser);
  const PluginFile& good = file_named(registry, path);
  CHECK(good.name == "good");  // and not the file's
  CHECK(good.facts.version == "1.2.3");
  CHECK(good.facts.description == "an empty store");
  CHECK_FALSE(good.facts.build.empty());
  CHECK(good.state == PluginState::kUsable);
  CHECK(std::string(state_name(good.state)) == "ok");
  const PluginFile& text = file_named(registry, dir.path("text.so"));
  CHECK(text.name == "text");
  CHECK(std::string(state_name(text.state)) == "refused");
  CHECK(contains(text.reason, "is not an ELF file"));
}

TEST_CASE("the first directory wins, and names order a directory") {
  const TempDir first, second;
  const std::string chosen = first.copy("good", "a.so");
  first.copy("good", "b.so");
  second.copy("good", "good.so");
  const Registry registry = Registry::scan({first.path(), "/nonexistent/plugins", second.path()}, kUser);
  CHECK(registry.select("good").path == chosen);
  CHECK(registry.warnings({"good"}).size() == 2);
  CHECK(contains(registry.warnings({})[1], "good.so: plugin good is taken from " + chosen + " instead"));
  CHECK(std::string(state_name(file_named(registry, second.path("good.so")).state)) == "shadowed");
}

TEST_CASE("a broken override does not give way to what it overrides") {
  const TempDir first, second;
  first.write("good.so", "half a copy");
  second.copy("good", "good.so");
  const Registry registry = Registry::scan({first.path(), second.path()}, kUser);
  CHECK(contains(error_of([&] { registry.select("good"); }).what(), first.path("good.so") + ": is not an ELF file"));
}

TEST_CASE("an unknown backend is answered with the names there are and the nearest") {
  const TempDir dir;
  dir.copy("good", "good.so");
  dir.copy("open-late", "open-late.so");
  const Registry registry = Registry::scan({dir.path()}, kUser);
  const Error e = error_of([&] { registry.select("god"); });
  CHECK(e.code() == Code::kInvalidArgument);
  CHECK(std::string(e.what()) ==
        "backend \"god\": no such plugin in " + dir.path() + " (there are: good, open-late; did you mean \"good\"?)");
  CHECK_FALSE(contains(error_of([&] { registry.select("something-else"); }).what(), "did you mean"));
  CHECK(contains(error_of([] { Registry::scan({}, kUser).select("x"); }).what(), "an empty list of directories"));
  CHECK(contains(error_of([] { Registry::scan({}, kUser).select("x", "previous"); }).what(), "previous \"x\": no such plugin"));
}

TEST_CASE("as root, files that others can write are refused, with one warning for a directory") {
  if (::geteuid() != 0) {
    // A plain user's files are all somebody else's to a daemon that acts as root.
    const TempDir dir;
    dir.copy("good", "good.so");
    CHECK_THROWS_AS(Registry::scan({dir.path()}, Identity{0, false}).select("good"), Error);
    return;
  }
  const TempDir dir;
  const std::string path = dir.copy("good", "good.so");
  dir.copy("open-late", "open-late.so");
  REQUIRE(::chmod(path.c_str(), 0666) == 0);
  const Error file = error_of([&] { Registry::scan({dir.path()}, Identity::current()).select("good"); });
  CHECK(contains(file.what(), path + ": is writable by others (mode 0666)"));
  REQUIRE(::chmod(path.c_str(), 0644) == 0);
  CHECK(Registry::scan({dir.path()}, Identity::current()).select("good").path == path);

  REQUIRE(::chmod(dir.path().c_str(), 0777) == 0);
  const Registry registry = Registry::scan({dir.path()}, Identity::current());
  CHECK(registry.warnings({}).size() == 1);
  CHECK(contains(error_of([&] { registry.select("good"); }).what(), dir.path() + ": is writable by others"));

  // Sticky, nobody can replace the file, but anybody can put another one before it.
  REQUIRE(::chmod(dir.path().c_str(), 01777) == 0);
  const Registry sticky = Registry::scan({dir.path()}, Identity::current());
  CHECK(contains(error_of([&] { sticky.select("good"); }).what(), dir.path() + ": is writable by others"));
}
