// The catalog's pages of all holders, merged by digest.
#include "content/usage.hpp"

#include <algorithm>
#include <functional>
#include <optional>

namespace ipcs::content {
namespace {

constexpr size_t kPage = 256;  // rows taken from the catalog at once

// What a holder holds, in the order of the digests.
class Holdings {
 public:
  struct Row {
    Digest digest;
    uint64_t size;
  };
  using Page = std::function<std::vector<Row>(const std::string& after)>;

  Holdings(Page page, Amount* amount) : page_(std::move(page)), amount_(amount) {}

  // The row to come next, null at the end.
  const Row* head() {
    if (at_ == rows_.size() && !over_) {
      rows_ = page_(rows_.empty() ? std::string() : rows_.back().digest.to_string());
      at_ = 0;
      over_ = rows_.empty();
    }
    return over_ ? nullptr : &rows_[at_];
  }

  // Counts the next row if it is of that blob; says whether it was.
  bool take(const Digest& digest) {
    const Row* row = head();
    if (row == nullptr || row->digest != digest) return false;
    amount_->add(row->size);
    ++at_;
    return true;
  }

 private:
  Page page_;
  Amount* amount_;
  std::vector<Row> rows_;
  size_t at_ = 0;
  bool over_ = false;
};

Holdings::Page blobs_of(const catalog::Catalog& catalog, const std::string& client) {
  return [&catalog, client](const std::string& after) {
    std::vector<Holdings::Row> rows;
    for (Blob& blob : catalog.list(client, after, kPage)) rows.push_back({std::move(blob.digest), blob.size});
    return rows;
  };
}

Holdings::Page pins_of(const catalog::Catalog& catalog) {
  return [&catalog](const std::string& after) {
    std::vector<Holdings::Row> rows;
    for (catalog::Pin& pin : catalog.pins(after, kPage)) {
      // One of several owners' is enough.
      if (rows.empty() || rows.back().digest != pin.digest) rows.push_back({std::move(pin.digest), pin.size});
    }
    return rows;
  };
}

}  // namespace

Usage usage(const Call& call, Content& content, const std::vector<std::string>& configured) {
  Usage result;
  const catalog::Catalog& catalog = content.catalog();
  for (const std::string& client : configured) result.clients[client];
  for (const std::string& client : catalog.clients()) result.clients[client];
  std::vector<Holdings> holdings;
  holdings.emplace_back(blobs_of(catalog, {}), &result.total);
  holdings.emplace_back(pins_of(catalog), &result.pinned);
  for (auto& [client, amounts] : result.clients) holdings.emplace_back(blobs_of(catalog, client), &amounts.claims);

  for (;;) {
    std::optional<Digest> first;
    for (Holdings& each : holdings) {
      const Holdings::Row* row = each.head();
      if (row != nullptr && (!first || row->digest < *first)) first = row->digest;
    }
    if (!first) break;
    const uint64_t total_before = result.total.bytes;
    holdings.front().take(*first);
    size_t holders = 0;
    for (size_t i = 1; i < holdings.size(); ++i) holders += holdings[i].take(*first) ? 1 : 0;
    if (holders > 1) result.shared.add(result.total.bytes - total_before);
  }

  const Client everybody{kOperator, true};
  for (const IngestStatus& ingest : content.list_statuses(call, everybody, Filter::parse({}))) {
    result.ingests.add(ingest.offset);
    const auto client = result.clients.find(ingest.client);
    if (client != result.clients.end()) client->second.ingests.add(ingest.offset);
  }
  return result;
}

std::map<std::string, ClientUsage> former_clients(const Call& call, Content& content,
                                                  const std::vector<std::string>& configured) {
  const std::vector<std::string> known = content.catalog().clients();
  const auto is_configured = [&](const std::string& client) {
    return std::find(configured.begin(), configured.end(), client) != configured.end();
  };
  if (std::all_of(known.begin(), known.end(), is_configured)) return {};
  std::map<std::string, ClientUsage> clients = usage(call, content, configured).clients;
  std::erase_if(clients, [&](const auto& client) { return is_configured(client.first); });
  return clients;
}

Losses losses(const Call& call, Content& content) {
  Losses result;
  std::string after;
  for (;;) {
    const std::vector<Blob> page = content.catalog().list({}, after, kPage);
    if (page.empty()) return result;
    after = page.back().digest.to_string();
    for (const Blob& blob : page) {
      const auto stored = content.stores().stat(call, blob.digest);
      if (!stored) {
        ++result.missing;
      } else if (stored->size != blob.size) {
        ++result.damaged;
      }
    }
  }
}

}  // namespace ipcs::content
