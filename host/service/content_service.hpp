// containerd.services.content.v1.Content as exchanges of serialized messages.
#pragma once

#include <vector>

#include "content/content.hpp"
#include "metrics/metrics.hpp"
#include "service/exchange.hpp"

namespace ipcs::service {

// Serves one client, that is, one listening socket. Translates messages; what they mean is in host/content.
class ContentService {
 public:
  // `content` outlives the service, and so do `metrics`, which count its calls and bytes; null: nobody counts.
  ContentService(content::Content& content, content::Client client, metrics::Metrics* metrics = nullptr);
  ContentService(const ContentService&) = delete;

  // The methods of the service, for a Server; they refer to this object.
  const std::vector<Method>& methods() const noexcept { return methods_; }

 private:
  template <class Handler>
  void add(std::string_view name);

  content::Content& content_;
  const content::Client client_;
  metrics::Metrics* const metrics_;
  std::vector<Method> methods_;
};

}  // namespace ipcs::service
