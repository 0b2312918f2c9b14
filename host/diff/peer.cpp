// SO_PEERCRED and /proc.
#include "diff/peer.hpp"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cerrno>
#include <charconv>
#include <cstring>

#include "ipcs/error.hpp"

namespace ipcs::diff {
namespace {

void check(pid_t pid, const char* kind, const char* name) {
  struct stat ours {}, theirs {};
  const std::string path = fmt::format("/proc/{}/ns/{}", pid, kind);
  if (::stat(fmt::format("/proc/self/ns/{}", kind).c_str(), &ours) != 0 || ::stat(path.c_str(), &theirs) != 0)
    throw Error(Code::kFailedPrecondition,
                fmt::format("can't tell whether containerd (process {}) has ipcsd's {} namespace: {}: {}; ipcsd needs "
                            "CAP_SYS_PTRACE for that",
                            pid, name, path, std::strerror(errno)));
  if (ours.st_ino != theirs.st_ino || ours.st_dev != theirs.st_dev)
    throw Error(Code::kFailedPrecondition,
                fmt::format("containerd (process {}) has another {} namespace than ipcsd: its snapshots can't be "
                            "written to from here; start both in the same one",
                            pid, name));
}

}  // namespace

std::optional<pid_t> process_of(const std::string& peer) {
  constexpr std::string_view kPrefix = "fd:";
  if (!peer.starts_with(kPrefix)) return std::nullopt;
  int fd = -1;
  const char* end = peer.data() + peer.size();
  const auto [stop, error] = std::from_chars(peer.data() + kPrefix.size(), end, fd);
  if (error != std::errc() || stop != end) return std::nullopt;
  ucred who{};
  socklen_t size = sizeof who;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0) return std::nullopt;
  return who.pid;
}

void check_namespaces(pid_t pid) {
  if (pid == 0)
    throw Error(Code::kFailedPrecondition,
                "containerd is in a PID namespace that ipcsd can't see, so its snapshots' paths can't be trusted; "
                "start both in the same one");
  check(pid, "mnt", "mount");
  check(pid, "user", "user");
}

}  // namespace ipcs::diff
