// glibc gives back what is free at the end of its heap only; what hundreds of slow readers needed stayed for good.
#include "daemon/memory.hpp"

#include <malloc.h>

#include <cstddef>

namespace ipcs::daemon {
namespace {

constexpr size_t kKept = 64 << 20;  // bytes: the next peak is served without asking the system

}  // namespace

void release_free_memory() noexcept {
  if (::mallinfo2().fordblks > kKept) ::malloc_trim(0);
}

}  // namespace ipcs::daemon
