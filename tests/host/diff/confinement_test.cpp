// What is left to a worker that an archive has taken over: a child gives everything up, and then tries.
#include "diff/confinement.hpp"

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

#include "diff/target.hpp"

using namespace ipcs::diff;

namespace {

// A snapshot's upper and lower directory, beside a file that is nobody's business.
struct Directories {
  Directories() {
    std::string name = std::filesystem::temp_directory_path() / "ipcs-confinement-XXXXXX";
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
    for (const char* made : {"upper", "work", "lower"}) std::filesystem::create_directory(path / made);
    std::ofstream(path / "secret") << "x";
    std::ofstream(path / "lower/file") << "x";
  }
  ~Directories() { std::filesystem::remove_all(path); }
  std::vector<Mount> overlay() const {
    const auto option = [&](const char* key, const char* name) { return key + (path / name).string(); };
    return {{"overlay", "overlay", "",
             {option("workdir=", "work"), option("upperdir=", "upper"), option("lowerdir=", "lower")}}};
  }
  std::filesystem::path path;
};

// Runs `attempts` in a confined child; what it returns is said of it, "" when all was as it should be.
std::string confined(const Directories& directories, const std::function<std::string(const Target&)>& attempts) {
  std::array<int, 2> said{};
  REQUIRE(::pipe(said.data()) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    std::string text;
    try {
      leave_namespaces();
      const Target target = open_target(directories.overlay(), "/nowhere");
      confine(target.root.get());
      text = attempts(target);
    } catch (const std::exception& e) {
      text = e.what();
    }
    const bool written = ::write(said[1], text.data(), text.size()) == static_cast<ssize_t>(text.size());
    ::_exit(written ? 0 : 1);
  }
  ::close(said[1]);
  std::string text;
  std::array<char, 1024> piece{};
  for (ssize_t count = 0; (count = ::read(said[0], piece.data(), piece.size())) > 0;)
    text.append(piece.data(), static_cast<size_t>(count));
  ::close(said[0]);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  return text;
}

// "" when the call failed with `error`.
std::string fails(const char* what, long result, int error) {
  if (result == -1 && errno == error) return "";
  return std::string(what) + ": " + (result == -1 ? std::strerror(errno) : "allowed") + "; ";
}

std::string works(const char* what, long result) {
  return result >= 0 ? "" : std::string(what) + ": " + std::strerror(errno) + "; ";
}

}  // namespace

TEST_CASE("a confined worker has no network, program, mount, process or signal for others") {
  const Directories directories;
  const pid_t other = ::getpid();
  CHECK(confined(directories, [other](const Target&) {
          std::array<char*, 1> none{nullptr};
          rlimit limit{};
          std::string wrong = fails("socket", ::socket(AF_INET, SOCK_STREAM, 0), EPERM) +
                              fails("mount", ::mount("none", "/", "tmpfs", 0, ""), EPERM) +
                              fails("execve", ::execve("/file", none.data(), none.data()), EPERM) +
                              fails("kill", ::kill(other, 0), EPERM) +
                              fails("tgkill", ::syscall(SYS_tgkill, other, other, 0), EPERM) +
                              fails("prlimit64", ::prlimit(other, RLIMIT_CORE, nullptr, &limit), EPERM) +
                              fails("F_SETOWN", ::fcntl(0, F_SETOWN, other), EPERM) +
                              fails("F_SETSIG", ::fcntl(0, F_SETSIG, SIGKILL), EPERM) +
                              fails("fork", ::syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0), EPERM);
          // Of a thread the kernel would ask for a stack first of all.
          constexpr long kThread = CLONE_THREAD | CLONE_SIGHAND | CLONE_VM;
          wrong += fails("namespace", ::syscall(SYS_clone, kThread | CLONE_NEWUSER, 0, 0, 0, 0), EPERM);
          return wrong + works("tgkill of itself", ::syscall(SYS_tgkill, ::getpid(), ::gettid(), 0)) +
                 works("its own limit", ::prlimit(0, RLIMIT_CORE, nullptr, &limit)) +
                 works("F_GETFL", ::fcntl(1, F_GETFL));
        }) == "");
}

TEST_CASE("a confined worker does not get out of its directories") {
  const Directories directories;
  CHECK(confined(directories, [](const Target& target) {
          std::string wrong;
          for (const int fd : {target.root.get(), target.lower.at(0).get()})
            wrong += fails("..", ::openat(fd, "../secret", O_RDONLY), ENOENT);
          wrong += works("lower file", ::openat(target.lower[0].get(), "file", O_RDONLY));
          return wrong + fails("writing to lower", ::openat(target.lower[0].get(), "new", O_CREAT | O_WRONLY, 0600), EROFS);
        }) == "");
  CHECK(!std::filesystem::exists(directories.path / "lower/new"));
}

TEST_CASE("a confined worker makes devices and setuid programs, and can't open the devices") {
  const Directories directories;
  CHECK(confined(directories, [](const Target& target) {
          const int root = target.root.get();
          std::string wrong = works("mknod", ::mknodat(root, "null", S_IFCHR | 0600, ::makedev(1, 3)));
          wrong += fails("device", ::openat(root, "null", O_RDWR), EACCES);
          wrong += works("program", ::openat(root, "program", O_CREAT | O_WRONLY, 0600));
          return wrong + works("setuid", ::fchmodat(root, "program", 06755, 0));
        }) == "");
  struct stat info {};
  REQUIRE(::stat((directories.path / "upper/program").c_str(), &info) == 0);
  CHECK((info.st_mode & 07777) == 06755);
  REQUIRE(::stat((directories.path / "upper/null").c_str(), &info) == 0);
  CHECK(S_ISCHR(info.st_mode));
  CHECK(info.st_rdev == ::makedev(1, 3));
}
