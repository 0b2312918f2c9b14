// read(2) behind a buffer.
#include "diff/fd_source.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "ipcs/error.hpp"

namespace ipcs::diff {

bool FdSource::fill() {
  if (begin_ == end_) begin_ = end_ = 0;
  if (end_ == buffer_.size()) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= std::exchange(begin_, 0);
  }
  for (;;) {
    const ssize_t count = ::read(fd_, buffer_.data() + end_, buffer_.size() - end_);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw Error(Code::kInternal, std::string("the layer can't be read: ") + std::strerror(errno));
    end_ += static_cast<size_t>(count);
    return count > 0;
  }
}

std::span<const uint8_t> FdSource::next(size_t max) {
  if (begin_ == end_ && !fill()) return {};
  const size_t count = std::min(max, end_ - begin_);
  const std::span<const uint8_t> piece(buffer_.data() + begin_, count);
  begin_ += count;
  taken_ += count;
  return piece;
}

std::span<const uint8_t> FdSource::peek(size_t count) {
  while (end_ - begin_ < count && fill()) {
  }
  return {buffer_.data() + begin_, std::min(count, end_ - begin_)};
}

}  // namespace ipcs::diff
