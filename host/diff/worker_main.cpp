// ipcs-unpack: the process in which one layer is applied. Started by ipcsd; see job.hpp for what it is told.
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <exception>
#include <string>

#include "diff/applier.hpp"
#include "diff/confinement.hpp"
#include "diff/decompressor.hpp"
#include "diff/fd_source.hpp"
#include "diff/job.hpp"
#include "diff/pipeline.hpp"
#include "diff/target.hpp"
#include "diff/tree.hpp"

namespace {

using namespace ipcs::diff;
using Clock = std::chrono::steady_clock;

// Counts the time that is spent waiting for bytes.
class TimedSource final : public ByteSource {
 public:
  explicit TimedSource(ByteSource& source) : source_(source) {}
  std::span<const uint8_t> next(size_t max) override {
    const auto begun = Clock::now();
    const auto piece = source_.next(max);
    waited_ += Clock::now() - begun;
    return piece;
  }
  double waited_seconds() const { return std::chrono::duration<double>(waited_).count(); }

 private:
  ByteSource& source_;
  Clock::duration waited_{};
};

std::string read_job() {
  FdSource source(kJobFd, 64 * 1024);
  std::string text;
  for (auto piece = source.next(1 << 16); !piece.empty(); piece = source.next(1 << 16))
    text.append(piece.begin(), piece.end());
  ::close(kJobFd);
  return text;
}

// Whoever is woken goes first: ipcsd, which containerd may be waiting for under a lock. The share of the processors stays.
void let_others_pass() {
  const sched_param none{};
  ::sched_setscheduler(0, SCHED_BATCH, &none);
}

// A service manager may protect ipcsd, which holds the store, from being killed where memory ends. Not its workers: each is
// better killed than any other process. Nothing is lost where it can't be said.
void spare_others() {
  const Fd own(::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
  if (own) [[maybe_unused]] const ssize_t written = ::write(own.get(), "500", 3);
}

Answer work() {
  let_others_pass();
  spare_others();
  const Job job = job_from_json(read_job());
  die_with(static_cast<pid_t>(job.parent));
  leave_namespaces();
  const bool in_namespace = in_user_namespace();
  const Target target = open_target(job.mounts, job.mount_point);
  confine(target.root.get());

  Answer answer;
  ApplyOptions options;
  options.whiteouts = target.whiteouts;
  options.in_user_namespace = in_namespace;
  for (const Fd& lower : target.lower) options.lower.push_back(lower.get());
  options.warn = [&answer](const std::string& text) {
    if (answer.warnings++ == 0) answer.warning = text.substr(0, 300);
  };
  FdSource stored(STDIN_FILENO);
  const Compression compression = job.compressed ? detect(stored.peek(10)) : Compression::kNone;
  const auto decompressor = make_decompressor(compression, stored);
  Pipeline pipeline(*decompressor, job.max_size);
  TimedSource archive(pipeline);
  const auto begun = Clock::now();
  const ApplyTotals applied = apply_archive(archive, target.root.get(), options);
  answer.write_seconds = std::chrono::duration<double>(Clock::now() - begun).count() - archive.waited_seconds();
  const StreamTotals totals = pipeline.finish();
  if (job.sync) {
    const Fd root(::openat(target.root.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!root || ::syncfs(root.get()) != 0) throw_errno("can't sync", "", errno);
  }
  answer.digest = totals.digest;
  answer.size = totals.size;
  answer.entries = applied.entries;
  answer.file_bytes = applied.bytes;
  answer.decompress_seconds = totals.decompress_seconds;
  answer.hash_seconds = totals.hash_seconds;
  return answer;
}

Answer failure(ipcs::Code code, const char* message) {
  Answer answer;
  answer.code = code;
  answer.message = message;
  return answer;
}

void send(const std::string& text) {
  for (size_t done = 0; done < text.size();) {
    const ssize_t count = ::write(kAnswerFd, text.data() + done, text.size() - done);
    if (count < 0 && errno != EINTR) return;  // nobody listens any more
    if (count > 0) done += static_cast<size_t>(count);
  }
}

}  // namespace

int main(int argc, char**) {
  if (argc != 1 || ::fcntl(kJobFd, F_GETFD) < 0 || ::fcntl(kAnswerFd, F_GETFD) < 0) {
    std::fputs("ipcs-unpack: a part of ipcsd, which starts it\n", stderr);
    return 2;
  }
  Answer answer;
  try {
    answer = work();
  } catch (const ipcs::Error& e) {
    answer = failure(e.code(), e.what());
  } catch (const std::bad_alloc&) {
    answer = failure(ipcs::Code::kResourceExhausted, "no memory");
  } catch (const std::exception& e) {
    answer = failure(ipcs::Code::kInternal, e.what());
  }
  send(to_json(answer));
  ::_exit(0);
}
