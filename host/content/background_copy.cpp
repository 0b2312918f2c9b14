// copy_blobs() with pauses.
#include "content/background_copy.hpp"

#include <algorithm>
#include <utility>

#include "content/copy.hpp"

namespace ipcs::content {

BackgroundCopy::BackgroundCopy(Content& content, Options options, log::Log log)
    : content_(content), options_(std::move(options)), log_(std::move(log)), thread_([this] { run(); }) {}

BackgroundCopy::~BackgroundCopy() {
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
  }
  call_.cancel();
  changed_.notify_all();
  thread_.join();
}

bool BackgroundCopy::active() const {
  const std::lock_guard lock(mutex_);
  return active_;
}

void BackgroundCopy::run() {
  while (try_all()) wait(options_.retry);
  const std::lock_guard lock(mutex_);
  active_ = false;
}

bool BackgroundCopy::try_all() {
  if (call_.cancelled()) return false;
  try {
    size_t unreadable = 0;
    paced_ = 0;
    const CopyReport report =
        copy_blobs(call_, content_, {[this](const Progress& progress) { pace(progress.done_bytes); },
                                     [&](const Finding& finding) { unreadable += finding.kind == FindingKind::kUnreadable; }});
    if (report.complete) {
      log_.info("everything that was lacking has been copied: take `previous` out of the configuration",
                {{"blobs", std::to_string(report.copied.count)}, {"bytes", std::to_string(report.copied.bytes)}});
      return false;
    }
    if (unreadable > 0) return true;
    log_.warn("not all that was lacking can be copied: `ipcsctl backend copy` says what is left",
              {{"blobs", std::to_string(report.copied.count)},
               {"bytes", std::to_string(report.copied.bytes)},
               {"left", std::to_string(content_.stores().lacking().count)}});
    return false;
  } catch (const Error& e) {
    if (call_.cancelled()) return false;
    // Once for each reason: it is tried again for as long as it takes.
    if (last_failure_ != e.what()) log_.warn("the copy in the background goes on later", {{"reason", e.what()}});
    last_failure_ = e.what();
    return true;
  }
}

void BackgroundCopy::pace(uint64_t done) {
  // Bytes that are passed over, since they were copied before or are gone, cost nothing and count for little.
  constexpr uint64_t kMost = 2 << 20;
  const uint64_t bytes = std::min(done > paced_ ? done - paced_ : 0, kMost);
  paced_ = std::max(paced_, done);
  const double activity = options_.activity ? options_.activity() : 0;
  const bool busy = activity != seen_activity_;
  seen_activity_ = activity;
  const double seconds = static_cast<double>(bytes) / static_cast<double>(options_.rate) * (busy ? 4 : 1);
  wait(std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds)));
  if (call_.cancelled()) throw Error(Code::kCancelled, "ipcsd ends");
}

void BackgroundCopy::wait(Clock::duration time) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, time, [this] { return over_; });
}

}  // namespace ipcs::content
