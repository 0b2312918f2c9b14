// Which features there are, and pins for what they make known.
#include "content/dag.hpp"

#include <fmt/format.h>

namespace ipcs::content {

std::vector<std::string> features(const Store& store) {
  std::vector<std::string> offered;
  for (const char* id : {IPCS_LOCATE_V1, IPCS_BLOCKS_V1, IPCS_ADOPT_V1, IPCS_CAR_V1, IPCS_PREFETCH_V1, IPCS_REPAIR_V1}) {
    if (store.extension(id) != nullptr) offered.emplace_back(id);
  }
  return offered;
}

void throw_not_offered(const Store& store, const char* id) {
  throw Error(Code::kUnimplemented,
              fmt::format("the backend \"{}\" does not offer {}: its blobs are no DAGs of blocks", store.plugin().name, id));
}

Adopted adopt_and_pin(const Call& call, Content& content, const std::string& note, const std::string& owner,
                      const std::function<Adopted()>& adopt) {
  for (int attempt = 0;; ++attempt) {
    Adopted adopted = adopt();
    try {
      content.pin(call, Digest::parse(adopted.digest), note, owner);
      return adopted;
    } catch (const Error& e) {
      if (e.code() != Code::kNotFound || attempt > 0) throw;
    }
  }
}

}  // namespace ipcs::content
