// One ingest after the other, then one page of claims after the other.
#include "content/release.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace ipcs::content {
namespace {

constexpr size_t kPage = 256;  // claims taken from the catalog at once

void go_on(const Call& call) {
  if (call.cancelled()) throw Error(Code::kCancelled, "cancelled while a client's claims were dropped");
}

void check(const Call& call, Content& content, const std::string& name) {
  // In the catalog both mean the operator, whose listing has everybody's blobs.
  if (name.empty() || name == kOperator)
    throw Error(Code::kInvalidArgument,
                fmt::format("client \"{}\": is no client's name; the operator's holds are pins", name));
  const std::vector<std::string> known = content.catalog().clients();
  if (!std::binary_search(known.begin(), known.end(), name))
    throw Error(Code::kNotFound, fmt::format("client \"{}\": has no claims and no ingests", printable(name)));
  // Without their claims the bytes would come back at the next start, as everybody's.
  const StoreInfo store = content.backend().info(call);
  if (store.read_only)
    throw Error(Code::kFailedPrecondition,
                fmt::format("client \"{}\": the store {} is open for reading only", printable(name), store.location));
}

}  // namespace

Released release_client(const Call& call, Content& content, const std::string& name) {
  check(call, content, name);
  Released released;
  const Client client{name};
  const auto statuses = [&] { return content.list_statuses(call, client, Filter::parse({})); };
  for (auto ingests = statuses(); !ingests.empty(); ingests = statuses()) {  // a list may be cut
    for (const IngestStatus& ingest : ingests) {
      go_on(call);
      content.abort(call, client, ingest.ref);
      released.ingests.add(ingest.offset);
    }
  }
  for (const catalog::Ingest& row : content.catalog().ingests(name)) {  // of which the backend has no bytes
    content.abort(call, client, row.ref);
    released.ingests.add(0);
  }
  std::string after;
  for (auto page = content.catalog().list(name, after, kPage); !page.empty();
       page = content.catalog().list(name, after, kPage)) {
    after = page.back().digest.to_string();
    for (const Blob& blob : page) {
      go_on(call);
      const auto freed = content.drop_claim(call, name, blob.digest);
      released.claims.add(blob.size);
      if (freed) released.freed.add(*freed);
    }
  }
  return released;
}

}  // namespace ipcs::content
