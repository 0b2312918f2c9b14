// Rendering is apart from the terminal, so that tests can look at it.
#include "cli/progress.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "cli/text.hpp"

namespace ipcs::cli {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr auto kFirstBar = milliseconds(300);
constexpr auto kBarInterval = milliseconds(100);
constexpr auto kLineInterval = seconds(5);
constexpr auto kRateInterval = milliseconds(200);
constexpr double kRateMemory = 3;  // seconds
constexpr size_t kBarLeast = 10, kBarMost = 40;
constexpr size_t kSubject = 19;  // "sha256:" and twelve digits
constexpr size_t kWidthUnknown = 80;

std::string percent(const ProgressState& state) {
  if (state.total == 0) return {};
  return fmt::format("{:3}%", std::min<uint64_t>(100, static_cast<uint64_t>(100.0 * static_cast<double>(state.done) /
                                                                            static_cast<double>(state.total))));
}

std::string amounts(const ProgressState& state) {
  if (state.total == 0) return size_text(state.done);
  return fmt::format("{}/{}", size_text(state.done), size_text(state.total));
}

std::string left(const ProgressState& state) {
  if (state.total <= state.done || state.rate <= 0) return {};
  const double rest = static_cast<double>(state.total - state.done) / state.rate;
  if (rest > 100 * 3600) return {};
  return fmt::format("{} left", duration_text(seconds(static_cast<int64_t>(rest) + 1)));
}

std::string bar(const ProgressState& state, size_t width) {
  const size_t inner = width - 2;
  const double part = std::min(1.0, static_cast<double>(state.done) / static_cast<double>(state.total));
  const auto full = static_cast<size_t>(part * static_cast<double>(inner));
  std::string text(full, '=');
  if (full < inner) text += '>';
  text.resize(inner, ' ');
  return '[' + text + ']';
}

size_t terminal_width(int fd) {
  winsize size{};
  return ::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : kWidthUnknown;
}

}  // namespace

std::string render_bar(const ProgressState& state, size_t width) {
  const std::string subject = shortened(printable(state.subject), kSubject);
  const std::vector<std::string> tail{
      percent(state), amounts(state),
      state.rate > 0 ? size_text(static_cast<uint64_t>(state.rate)) + "/s" : std::string(), left(state)};
  std::string text = state.label;
  std::string rest;
  for (const std::string& part : tail) {
    if (!part.empty() && columns(text) + columns(rest) + 1 + columns(part) <= width) rest += ' ' + part;
  }
  if (!subject.empty() && columns(text) + 1 + columns(subject) + columns(rest) <= width) text += ' ' + subject;
  const size_t used = columns(text) + columns(rest) + 1;
  if (state.total > 0 && used + kBarLeast <= width) text += ' ' + bar(state, std::min(kBarMost, width - used));
  return shortened(text + rest, width);
}

std::string render_line(const ProgressState& state) {
  std::string text = state.label + ':';
  if (state.total > 0) text += fmt::format(" {} of {}", size_text(state.done), size_text(state.total));
  if (state.total == 0) text += ' ' + size_text(state.done);
  if (const std::string part = percent(state); !part.empty())
    text += fmt::format(" ({})", part.substr(part.find_first_not_of(' ')));
  if (state.rate > 0) text += fmt::format(", {}/s", size_text(static_cast<uint64_t>(state.rate)));
  if (const std::string rest = left(state); !rest.empty()) text += ", " + rest;
  return text;
}

double RateMeter::update(Clock::time_point now, uint64_t done) {
  const double passed = std::chrono::duration<double>(now - at_).count();
  if (now - at_ < kRateInterval) return rate_;
  const double current = done > done_ ? static_cast<double>(done - done_) / passed : 0;
  const double weight = known_ ? std::min(1.0, passed / kRateMemory) : 1;
  rate_ += weight * (current - rate_);
  known_ = true;
  at_ = now;
  done_ = done;
  return rate_;
}

ProgressMode progress_mode(int fd) {
  const char* terminal = std::getenv("TERM");
  const bool moves = terminal != nullptr && *terminal != 0 && std::string_view(terminal) != "dumb";
  return ::isatty(fd) == 1 && moves ? ProgressMode::kBar : ProgressMode::kLines;
}

Progress::Progress(std::string label, ProgressMode mode, int fd)
    : mode_(mode), fd_(fd), state_{std::move(label), {}, 0, 0, 0}, meter_(Clock::now()) {
  next_ = Clock::now() + (mode_ == ProgressMode::kBar ? Clock::duration(kFirstBar) : Clock::duration(kLineInterval));
}

void Progress::update(uint64_t done, uint64_t total, std::string_view subject) {
  if (mode_ == ProgressMode::kOff) return;
  const auto now = Clock::now();
  state_.done = done;
  state_.total = total;
  state_.rate = meter_.update(now, done);
  if (now < next_) return;
  state_.subject = subject;
  if (mode_ == ProgressMode::kLines) {
    put(render_line(state_) + '\n');
    next_ = now + kLineInterval;
    return;
  }
  // One column stays free: terminals differ in what they do after the last one.
  put("\r" + render_bar(state_, terminal_width(fd_) - 1) + "\x1b[K");
  next_ = now + kBarInterval;
  shown_ = true;
}

void Progress::clear() {
  if (!shown_) return;
  put("\r\x1b[K");
  shown_ = false;
  next_ = Clock::now();
}

void Progress::put(std::string_view text) const {
  // A bar that can't be written is no reason to fail.
  while (!text.empty()) {
    const ssize_t count = ::write(fd_, text.data(), text.size());
    if (count <= 0) return;
    text.remove_prefix(static_cast<size_t>(count));
  }
}

}  // namespace ipcs::cli
