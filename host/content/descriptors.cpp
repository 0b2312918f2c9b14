// The lowest free descriptor, found by taking it for a moment.
#include "content/descriptors.hpp"

#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

namespace ipcs::content {
namespace {

// A quarter of a small limit, no more than 1,000 connections of a large one; 64 are plenty for the catalog.
rlim_t size_of(Reserve reserve, rlim_t limit) noexcept {
  return reserve == Reserve::kForConnections ? std::min<rlim_t>(limit / 4, 1000) : std::min<rlim_t>(limit / 16, 64);
}

}  // namespace

bool descriptors_scarce(Reserve reserve) noexcept {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return false;
  const int lowest = ::eventfd(0, EFD_CLOEXEC);
  if (lowest < 0) return true;
  ::close(lowest);
  return static_cast<rlim_t>(lowest) >= limit.rlim_cur - size_of(reserve, limit.rlim_cur);
}

}  // namespace ipcs::content
