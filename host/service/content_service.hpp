// containerd.services.content.v1.Content as exchanges of serialized messages.
#pragma once

#include <memory>
#include <vector>

#include "content/content.hpp"
#include "metrics/metrics.hpp"
#include "service/exchange.hpp"
#include "service/read_memory.hpp"

namespace ipcs::service {

// Serves one client, that is, one listening socket. Translates messages; what they mean is in host/content.
class ContentService {
 public:
  // `content` outlives the service, and so do `metrics`, which count its calls and bytes; null: nobody counts. Services
  // of one process share the memory for answers to Read.
  ContentService(content::Content& content, content::Client client, metrics::Metrics* metrics = nullptr,
                 std::shared_ptr<ReadMemory> read_memory = std::make_shared<ReadMemory>());
  ContentService(const ContentService&) = delete;

  // The methods of the service, for a Server; they refer to this object.
  const std::vector<Method>& methods() const noexcept { return methods_; }

 private:
  template <class Handler>
  void add(std::string_view name);

  content::Content& content_;
  const content::Client client_;
  metrics::Metrics* const metrics_;
  const std::shared_ptr<ReadMemory> read_memory_;
  std::vector<Method> methods_;
};

}  // namespace ipcs::service
