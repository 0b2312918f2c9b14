// Who may own and write what root runs.
#include "plugin/trust.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include "host/plugin/files.hpp"

using namespace ipcs::loader;
using namespace ipcs::loader::test;

namespace {

struct stat attributes(mode_t mode, uid_t owner) {
  struct stat st {};
  st.st_mode = mode;
  st.st_uid = owner;
  return st;
}

constexpr Identity kRoot{0, false};

}  // namespace

TEST_CASE("one file or directory is judged by owner and mode") {
  const auto judge = [](mode_t mode, uid_t owner, bool parent, Identity who = kRoot) {
    return distrust("/x", attributes(mode, owner), who, parent).value_or("trusted");
  };
  CHECK(judge(S_IFREG | 0644, 0, false) == "trusted");
  CHECK(judge(S_IFDIR | 0755, 0, true) == "trusted");
  CHECK(contains(judge(S_IFREG | 0664, 0, false), "/x: is writable by its group (mode 0664)"));
  CHECK(contains(judge(S_IFREG | 0646, 0, false), "/x: is writable by others (mode 0646)"));
  CHECK(contains(judge(S_IFREG | 0644, 1000, false), "/x: belongs to user 1000"));
  CHECK(contains(judge(S_IFDIR | 0755, 1000, true), "belongs to user 1000"));
  // /tmp may be above a plugin directory, but may not be one.
  CHECK(judge(S_IFDIR | S_ISVTX | 0777, 0, true) == "trusted");
  CHECK(contains(judge(S_IFDIR | 0777, 0, true), "writable by others"));
  CHECK(contains(judge(S_IFREG | S_ISVTX | 0666, 0, false), "writable by others"));
  // The machine's root is nobody in a user namespace.
  CHECK(judge(S_IFREG | 0644, 65534, false, Identity{0, true}) == "trusted");
  CHECK(contains(judge(S_IFREG | 0644, 65534, false), "belongs to user 65534"));
}

TEST_CASE("every directory above the file counts, behind symbolic links") {
  const TempDir dir;
  // As root the tests' own files are root's; as anybody else an identity says that their owner acts as root.
  const bool root = ::geteuid() == 0;
  const std::string plugins = dir.path("plugins");
  std::filesystem::create_directory(plugins);
  const std::string file = dir.copy("good", "plugins/good.so");
  REQUIRE(::chmod(file.c_str(), 0644) == 0);
  REQUIRE(::chmod(plugins.c_str(), 0755) == 0);
  if (!root) {
    CHECK_FALSE(distrust(file, Identity::current()));  // no privileges to protect
    CHECK(contains(distrust(file, kRoot).value_or(""), "belongs to user"));
    return;
  }
  CHECK(distrust(file, kRoot).value_or("trusted") == "trusted");

  REQUIRE(::chmod(plugins.c_str(), 0777) == 0);
  CHECK(contains(distrust(file, kRoot).value_or(""), plugins + ": is writable by others"));
  CHECK_FALSE(distrust(file, Identity{1000, false}));
  REQUIRE(::chmod(plugins.c_str(), 0755) == 0);

  REQUIRE(::chmod(dir.path().c_str(), 0770) == 0);
  CHECK(contains(distrust(file, kRoot).value_or(""), dir.path() + ": is writable by its group"));
  const std::string link = "/tmp/ipcs-loader-link-" + std::to_string(::getpid());
  REQUIRE(::symlink(file.c_str(), link.c_str()) == 0);
  CHECK(contains(distrust(link, kRoot).value_or(""), dir.path() + ": is writable by its group"));
  ::unlink(link.c_str());
  REQUIRE(::chmod(dir.path().c_str(), 0700) == 0);

  REQUIRE(::chown(file.c_str(), 1000, 1000) == 0);
  CHECK(contains(distrust(file, kRoot).value_or(""), file + ": belongs to user 1000"));
  CHECK(contains(distrust(dir.path("none.so"), kRoot).value_or(""), "cannot be examined"));
}
