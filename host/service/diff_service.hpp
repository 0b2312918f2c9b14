// containerd.services.diff.v1.Diff as exchanges of serialized messages.
#pragma once

#include <vector>

#include "diff/unpacker.hpp"
#include "metrics/metrics.hpp"
#include "service/exchange.hpp"

namespace ipcs::service {

// Apply is the unpacker's; Diff, which compares two snapshots, is left to containerd's own differ. [thread-safe]
class DiffService {
 public:
  // `unpacker` and `metrics` outlive the service and its methods; without metrics nobody counts.
  DiffService(diff::Unpacker& unpacker, metrics::Metrics* metrics);

  const std::vector<Method>& methods() const noexcept { return methods_; }

 private:
  std::vector<Method> methods_;
};

}  // namespace ipcs::service
