// Tells the thread sanitizer of the order that gRPC's completion queue keeps: it can't see into gRPC.
#pragma once

#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

namespace ipcs::service {

// What was done before handing `operation` to gRPC …
inline void happens_before([[maybe_unused]] void* operation) {
#if defined(__SANITIZE_THREAD__)
  __tsan_release(operation);
#endif
}

// … is done when its event comes.
inline void happens_after([[maybe_unused]] void* operation) {
#if defined(__SANITIZE_THREAD__)
  __tsan_acquire(operation);
#endif
}

}  // namespace ipcs::service
