// Lines that are painted over by going up on the screen.
#include "cli/bars.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <vector>

namespace ipcs::cli {
namespace {

using std::chrono::milliseconds;

constexpr auto kFirstPaint = milliseconds(300);
constexpr auto kPaintInterval = milliseconds(100);
constexpr auto kLineInterval = milliseconds(5000);
constexpr size_t kMostBars = 8;
constexpr size_t kWidthUnknown = 80;

size_t terminal_width(int fd) {
  winsize size{};
  return ::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : kWidthUnknown;
}

}  // namespace

Bars::Bars(std::string label, ProgressMode mode, int fd)
    : label_(std::move(label)),
      mode_(mode),
      fd_(fd),
      next_(Clock::now() + (mode == ProgressMode::kBar ? kFirstPaint : kLineInterval)) {}

void Bars::update(const std::string& subject, uint64_t done, uint64_t total, const std::string& origin) {
  if (mode_ == ProgressMode::kOff) return;
  const std::lock_guard lock(mutex_);
  const auto now = Clock::now();
  Transfer& transfer = transfers_[subject];
  transfer.state.label = origin;
  transfer.state.subject = subject;
  transfer.state.done = done;
  transfer.state.total = total;
  transfer.state.rate = transfer.meter.update(now, done);
  if (now < next_) return;
  if (mode_ == ProgressMode::kLines) {
    put(render_line(sum()) + '\n');
    next_ = now + kLineInterval;
  } else {
    paint();
    next_ = now + kPaintInterval;
  }
}

void Bars::begin(std::string label) {
  clear();
  const std::lock_guard lock(mutex_);
  label_ = std::move(label);
  transfers_.clear();
  meter_ = RateMeter(Clock::now());
}

void Bars::clear() {
  const std::lock_guard lock(mutex_);
  std::string out;
  erase(out);
  put(out);
}

ProgressState Bars::sum() const {
  ProgressState sum;
  size_t complete = 0;
  for (const auto& [subject, transfer] : transfers_) {
    sum.done += transfer.state.done;
    sum.total += transfer.state.total;
    complete += transfer.state.done >= transfer.state.total ? 1 : 0;
  }
  sum.label = fmt::format("{} {}/{} blobs", label_, complete, transfers_.size());
  return sum;
}

void Bars::paint() {
  const size_t width = terminal_width(fd_) - 1;
  std::string out;
  erase(out);
  for (const auto& [subject, transfer] : transfers_) {
    if (lines_ == kMostBars) break;
    if (transfer.state.done >= transfer.state.total) continue;
    out += render_bar(transfer.state, width) + "\n";
    ++lines_;
  }
  ProgressState all = sum();
  all.rate = meter_.update(Clock::now(), all.done);
  out += render_bar(all, width) + "\n";
  ++lines_;
  put(out);
}

void Bars::erase(std::string& out) {
  if (lines_ > 0) out += fmt::format("\x1b[{}A\r\x1b[J", lines_);
  lines_ = 0;
}

void Bars::put(const std::string& text) const {
  std::string_view rest = text;
  while (!rest.empty()) {
    const ssize_t count = ::write(fd_, rest.data(), rest.size());
    if (count <= 0) return;
    rest.remove_prefix(static_cast<size_t>(count));
  }
}

}  // namespace ipcs::cli
