// poll() on the socket and on the call's own descriptor.
#include "kubo/patience.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace ipcs::kubo {

short Patience::wait(int fd, short events) const {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point silent_at = Clock::now() + silence_;
  for (;;) {
    call_->check();
    Clock::time_point end = silent_at;
    if (call_->has_deadline()) end = std::min(end, call_->deadline());
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now()).count();
    pollfd fds[] = {{fd, events, 0}, {call_->cancel_fd(), POLLIN, 0}};
    const int timeout = static_cast<int>(std::clamp<int64_t>(left, 0, 3'600'000));
    const int ready = ::poll(fds, 2, timeout);
    if (ready < 0 && errno != EINTR) throw Error(Code::kInternal, std::string("poll: ") + std::strerror(errno));
    if (ready > 0 && fds[0].revents != 0) return fds[0].revents;
    if (ready == 0 && Clock::now() >= silent_at) {
      call_->check();  // both may be over: the caller's own limit says more
      throw_silent();
    }
  }
}

void Patience::check(std::chrono::steady_clock::time_point begun) const {
  call_->check();
  if (std::chrono::steady_clock::now() - begun >= silence_) throw_silent();
}

void Patience::throw_silent() const {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(silence_).count();
  throw Error(Code::kFailedPrecondition, "nothing came for " + std::to_string(seconds) + " s");
}

OwnCall::OwnCall(Clock::time_point deadline) : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (event_ < 0) throw Error(Code::kResourceExhausted, "no descriptor is left");
  abi_.struct_size = sizeof abi_;
  abi_.deadline_ns = deadline == Clock::time_point::max()
                         ? INT64_MAX
                         : std::chrono::duration_cast<std::chrono::nanoseconds>(deadline.time_since_epoch()).count();
  abi_.host_data = this;
  abi_.cancelled = [](const ipcs_call* call) -> int32_t {
    pollfd event{static_cast<const OwnCall*>(call->host_data)->event_, POLLIN, 0};
    return ::poll(&event, 1, 0) > 0 ? 1 : 0;
  };
  abi_.cancel_fd = [](const ipcs_call* call) -> int32_t { return static_cast<const OwnCall*>(call->host_data)->event_; };
}

OwnCall::~OwnCall() { ::close(event_); }

void OwnCall::cancel() noexcept {
  const uint64_t one = 1;
  if (::write(event_, &one, sizeof one) < 0) {
    // Its counter is full: it is readable already.
  }
}

}  // namespace ipcs::kubo
