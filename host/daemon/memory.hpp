// Memory that the allocator keeps after a peak.
#pragma once

namespace ipcs::daemon {

// Gives freed memory back to the system when the allocator holds much of it. Cheap when it does not.
void release_free_memory() noexcept;

}  // namespace ipcs::daemon
