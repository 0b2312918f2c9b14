// Several pieces of work at once, of which the first failure ends all.
#pragma once

#include <cstddef>
#include <functional>

#include "oci/call.hpp"

namespace ipcs::oci {

// Runs task(i, call) for all i < count on up to `parallel` threads and waits for them. The first failure stops the
// others through their call, and is thrown.
void run_parallel(size_t count, size_t parallel, const Call& call,
                  const std::function<void(size_t, const Call&)>& task);

}  // namespace ipcs::oci
