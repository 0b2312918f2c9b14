// Namespaces, capabilities and a filter of system calls.
#include "diff/confinement.hpp"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <string>
#include <vector>

#include "ipcs/error.hpp"

namespace ipcs::diff {
namespace {

// An archive of nothing but names would take memory without end; zstd's largest window and the rest take a quarter of
// this.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
constexpr rlim_t kMemory = 1 << 30;  // bytes
#else
constexpr rlim_t kMemory = RLIM_INFINITY;  // shadow memory counts
#endif

void check(bool good, const std::string& what) {
  if (!good)
    throw Error(Code::kFailedPrecondition, "the worker can't be confined: " + what + ": " + std::strerror(errno));
}

// Owner, mode and place of any file; devices; capabilities of files. SYS_ADMIN is for the attributes "trusted." and
// "security."; the filter takes all else that it could do.
constexpr int kKept[] = {CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_MKNOD, CAP_SETFCAP, CAP_SYS_ADMIN};

void drop_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> held{}, kept{};
  check(::syscall(SYS_capget, &header, held.data()) == 0, "capget");
  for (const int capability : kKept) kept[static_cast<size_t>(capability / 32)].permitted |= 1U << (capability % 32);
  for (int capability = 0; ::prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; ++capability)
    ::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);  // may be refused, but no program is started anyway
  for (size_t i = 0; i < kept.size(); ++i) {
    kept[i].permitted &= held[i].permitted;
    kept[i].effective = kept[i].permitted;
    kept[i].inheritable = 0;
  }
  check(::syscall(SYS_capset, &header, kept.data()) == 0, "capset");
}

#if defined(__x86_64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#else
#error "the numbers of system calls of this architecture have not been looked at"
#endif

constexpr int kAllowed[] = {
#if defined(__SANITIZE_ADDRESS__)
#if defined(SYS_pipe)
    SYS_pipe,
#endif
    SYS_pipe2,  // through which the sanitizer finds out whether memory is there
#endif
    SYS_read, SYS_readv, SYS_pread64, SYS_write, SYS_writev, SYS_pwrite64, SYS_close, SYS_lseek, SYS_dup,
    SYS_openat, SYS_openat2, SYS_fstat, SYS_newfstatat, SYS_statx, SYS_readlinkat, SYS_getdents64, SYS_fchdir,
    SYS_mkdirat, SYS_mknodat, SYS_symlinkat, SYS_linkat, SYS_unlinkat, SYS_fchmod, SYS_fchmodat, SYS_fchown,
    SYS_fchownat, SYS_utimensat, SYS_ftruncate, SYS_fallocate, SYS_fadvise64, SYS_umask, SYS_syncfs,
    SYS_setxattr, SYS_lsetxattr, SYS_fsetxattr, SYS_getxattr, SYS_lgetxattr, SYS_fgetxattr, SYS_listxattr,
    SYS_llistxattr, SYS_flistxattr,
    SYS_mmap, SYS_munmap, SYS_mprotect, SYS_mremap, SYS_madvise, SYS_brk, SYS_futex, SYS_set_robust_list, SYS_rseq,
    SYS_sched_yield, SYS_sched_getaffinity, SYS_clock_gettime, SYS_clock_nanosleep, SYS_nanosleep, SYS_gettimeofday,
    SYS_getrandom, SYS_gettid, SYS_getpid, SYS_sysinfo, SYS_uname,
    SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_sigaltstack, SYS_restart_syscall, SYS_exit,
    SYS_exit_group};

sock_filter load(size_t offset) { return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset)); }
sock_filter answer(uint32_t action) { return BPF_STMT(BPF_RET | BPF_K, action); }
// Goes on behind the next instruction unless the loaded number is `value`.
sock_filter unless(uint32_t value) { return BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1); }

// Allows the call if the lower half of an argument, of which the kernel takes no more, is one of `values`.
void allow_with(std::vector<sock_filter>& program, int number, size_t argument, const std::vector<uint32_t>& values) {
  const auto length = static_cast<uint8_t>(2 + 2 * values.size());
  program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(number), 0, length));
  program.push_back(load(offsetof(seccomp_data, args) + argument * sizeof(uint64_t)));  // both machines are little-endian
  for (const uint32_t value : values) {
    program.push_back(unless(value));
    program.push_back(answer(SECCOMP_RET_ALLOW));
  }
  program.push_back(answer(SECCOMP_RET_ERRNO | EPERM));
}

// What a thread must not have of its own; a new mount namespace would be granted.
constexpr uint32_t kNamespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |
                                 CLONE_NEWPID | CLONE_NEWNET;

void filter_calls() {
  constexpr uint32_t kRefuse = SECCOMP_RET_ERRNO | EPERM;
  std::vector<sock_filter> program{load(offsetof(seccomp_data, arch)),
                                   BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kArchitecture, 1, 0),
                                   answer(SECCOMP_RET_KILL_PROCESS),
                                   load(offsetof(seccomp_data, nr))};
  for (const int number : kAllowed) {
    program.push_back(unless(static_cast<uint32_t>(number)));
    program.push_back(answer(SECCOMP_RET_ALLOW));
  }
  // No other process gets a signal or a limit, nor by way of a descriptor's owner.
  allow_with(program, SYS_tgkill, 0, {static_cast<uint32_t>(::getpid())});
  allow_with(program, SYS_prlimit64, 0, {0});
  allow_with(program, SYS_fcntl, 1, {F_GETFD, F_SETFD, F_GETFL, F_DUPFD_CLOEXEC});
  // Threads, but neither processes nor namespaces; the C library asks for clone3 first, whose flags can't be looked at.
  program.push_back(unless(SYS_clone3));
  program.push_back(answer(SECCOMP_RET_ERRNO | ENOSYS));
  program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 1, 0));
  program.push_back(answer(kRefuse));
  program.push_back(load(offsetof(seccomp_data, args)));
  program.push_back(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 1, 0));
  program.push_back(answer(kRefuse));
  program.push_back(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, kNamespaces, 0, 1));
  program.push_back(answer(kRefuse));
  program.push_back(answer(SECCOMP_RET_ALLOW));
  const sock_fprog code{static_cast<unsigned short>(program.size()), program.data()};
  check(::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &code, 0, 0) == 0, "seccomp");
}

}  // namespace

void die_with(pid_t parent) {
  check(::prctl(PR_SET_PDEATHSIG, SIGKILL) == 0, "signal of the parent's death");
  if (::getppid() != parent) throw Error(Code::kCancelled, "ipcsd, which started the worker, has ended");
}

void leave_namespaces() {
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  const rlimit memory{kMemory, kMemory};
  ::setrlimit(RLIMIT_DATA, &memory);
  check(::unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC) == 0,
        "namespaces of its own (ipcsd needs CAP_SYS_ADMIN for its diff service)");
  check(::mount("", "/", "", MS_REC | MS_SLAVE, "") == 0, "mounts of its own");
}

void confine(int root) {
  check(::fchdir(root) == 0 && ::chroot(".") == 0 && ::chdir("/") == 0, "chroot (it needs CAP_SYS_CHROOT)");
  check(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs");
  drop_capabilities();
  filter_calls();
}

}  // namespace ipcs::diff
