// Random sequences of calls against a model that is a few maps.
#include <rapidcheck.h>

#include <set>

#include "host/catalog/fixture.hpp"

namespace ipcs::catalog::testing {
namespace {

struct Operation {
  int kind;
  std::string client;
  int number;  // of the digest
  int64_t value;
  std::string bytes;
};

// The catalog as maps, with the same contract.
struct Model {
  struct Row {
    uint64_t size;
    int64_t created, updated;
    Labels labels;
  };
  struct ModelPin {
    int64_t created;
    bool pending;
    std::string note;
  };
  std::map<Digest, Row> blobs;
  std::map<std::pair<std::string, Digest>, Row> claims;  // sizes unused
  std::map<std::pair<Digest, std::string>, ModelPin> pins;  // by blob and owner
  std::map<std::pair<std::string, std::string>, Ingest> ingests;

  bool claimed(const Digest& d) const {
    return std::any_of(claims.begin(), claims.end(), [&](const auto& claim) { return claim.first.second == d; });
  }
  // Whether there is a pin of any owner that is pending, or finished.
  bool pinned(const Digest& d, bool pending) const {
    return std::any_of(pins.begin(), pins.end(),
                       [&](const auto& pin) { return pin.first.first == d && pin.second.pending == pending; });
  }
  size_t drop_pins(const Digest& d, bool pending_only) {
    return std::erase_if(
        pins, [&](const auto& pin) { return pin.first.first == d && (pin.second.pending || !pending_only); });
  }
  bool held(const Digest& d) const { return claimed(d) || pinned(d, false); }
  bool drop_unheld(const Digest& d) {
    return !claimed(d) && !pinned(d, false) && !pinned(d, true) && blobs.erase(d) > 0;
  }
  void put_blob(const Digest& d, uint64_t size, int64_t now) {
    blobs.try_emplace(d, Row{size, now, now, {}}).first->second.size = size;
  }
};

const std::vector<std::string> kClients{"a", "b", "c"};
constexpr int kKinds = 15;

rc::Gen<Operation> operation() {
  return rc::gen::build<Operation>(
      rc::gen::set(&Operation::kind, rc::gen::inRange(0, kKinds)),
      rc::gen::set(&Operation::client, rc::gen::elementOf(kClients)),
      rc::gen::set(&Operation::number, rc::gen::inRange(0, 5)),
      rc::gen::set(&Operation::value, rc::gen::inRange<int64_t>(0, 5)),
      rc::gen::set(&Operation::bytes, rc::gen::container<std::string>(rc::gen::inRange<char>(-2, 3))));
}

[[maybe_unused]] std::ostream& operator<<(std::ostream& out, const Operation& op) {
  return out << op.kind << '(' << op.client << ", " << op.number << ", " << op.value << ')';
}

void check_labels_update(Catalog& catalog, const Operation& op, const std::string& client, Model::Row* row) {
  const Digest d = digest(op.number);
  const LabelChange change{op.value % 2 == 0, {{"k", op.bytes}, {op.bytes, "v"}}};
  const auto updated = catalog.update_labels(client, d, change, op.value);
  RC_ASSERT(updated.has_value() == (row != nullptr));
  if (row == nullptr) return;
  if (change.replace_all) row->labels.clear();
  for (const auto& [key, value] : change.labels) {
    row->labels[key] = value;
    if (value.empty() && !change.replace_all) row->labels.erase(key);
  }
  row->updated = op.value;
  RC_ASSERT(updated->labels == row->labels);
}

void apply(std::unique_ptr<Catalog>& catalog, Model& model, const Operation& op, const std::string& path) {
  const Digest d = digest(op.number);
  const auto size = static_cast<uint64_t>(op.value);
  const auto claim = std::pair(op.client, d);
  const std::string owner = op.client == "a" ? kOperator : "run " + op.client;
  const auto pin = std::pair(d, owner);
  const bool pinned = model.pins.contains(pin) && !model.pins.at(pin).pending;
  const bool pending = model.pins.contains(pin) && model.pins.at(pin).pending;
  switch (op.kind) {
    case 0:
    case 1: {
      const Labels labels{{"k", op.bytes}};
      catalog->claim(op.client, d, size, op.value, op.kind == 0 ? &labels : nullptr);
      model.put_blob(d, size, op.value);
      Model::Row& row = model.claims.try_emplace(claim, Model::Row{0, op.value, op.value, {}}).first->second;
      if (op.kind == 0) row.labels = labels;
      break;
    }
    case 2:
    case 3: {
      const bool had = model.claims.erase(claim) > 0;
      RC_ASSERT(catalog->unclaim(op.client, d) == (had && model.drop_unheld(d)));
      break;
    }
    case 4: {
      const auto row = model.claims.find(claim);
      check_labels_update(*catalog, op, op.client, row == model.claims.end() ? nullptr : &row->second);
      break;
    }
    case 5:
      check_labels_update(*catalog, op, kOperator, model.held(d) ? &model.blobs.at(d) : nullptr);
      break;
    case 6:
      catalog->pin(d, size, op.value, op.bytes, owner);
      model.put_blob(d, size, op.value);
      model.pins[pin] = {model.pins.contains(pin) ? model.pins[pin].created : op.value, false, op.bytes};
      break;
    case 7:
      catalog->begin_pin(d, size, op.value, op.bytes, owner);
      model.blobs.try_emplace(d, Model::Row{size, op.value, op.value, {}});
      if (!pinned) model.pins[pin] = {pending ? model.pins[pin].created : op.value, true, op.bytes};
      break;
    case 8:
      catalog->finish_pin(d);
      for (auto& [of, row] : model.pins) {
        if (of.first == d) row.pending = false;
      }
      break;
    case 9: {
      const bool had = model.drop_pins(d, true) > 0;
      RC_ASSERT(catalog->cancel_pin(d) == (had && model.drop_unheld(d)));
      break;
    }
    case 10: {
      const bool had = model.pins.erase(pin) > 0;
      RC_ASSERT(catalog->unpin(d, owner) == (had && model.drop_unheld(d)));
      break;
    }
    case 14: {
      const bool had = model.drop_pins(d, false) > 0;
      RC_ASSERT(catalog->unpin_all(d) == (had && model.drop_unheld(d)));
      break;
    }
    case 11: {
      const Ingest ingest{"key-" + op.client + std::to_string(op.number),
                          op.client,
                          std::to_string(op.number) + op.bytes,
                          op.bytes,
                          size,
                          op.value,
                          op.value};
      // A key is one ingest's only.
      std::erase_if(model.ingests, [&](const auto& row) { return row.second.key == ingest.key; });
      catalog->drop_ingest(ingest.key);
      catalog->put_ingest(ingest);
      model.ingests[{ingest.client, ingest.ref}] = ingest;
      break;
    }
    case 12:
      catalog->forget(d);
      model.blobs.erase(d);
      model.drop_pins(d, false);
      std::erase_if(model.claims, [&](const auto& row) { return row.first.second == d; });
      break;
    default:
      catalog.reset();
      catalog = Catalog::open(path);
  }
}

void compare_blob(const std::optional<Blob>& blob, const Model::Row* row, uint64_t size) {
  RC_ASSERT(blob.has_value() == (row != nullptr));
  if (row == nullptr) return;
  RC_ASSERT(blob->size == size);
  RC_ASSERT(blob->created_ns == row->created);
  RC_ASSERT(blob->updated_ns == row->updated);
  RC_ASSERT(blob->labels == row->labels);
}

void compare(const Catalog& catalog, const Model& model) {
  std::vector<Digest> held, pending, pinned;
  std::vector<std::pair<Digest, std::string>> pins;
  uint64_t bytes = 0;
  for (const auto& [d, row] : model.blobs) {
    if (model.held(d)) held.push_back(d), bytes += row.size;
    compare_blob(catalog.find_any("", d), model.held(d) ? &row : nullptr, row.size);
    std::vector<std::string> claimants;
    for (const std::string& client : kClients) {
      const auto claim = model.claims.find({client, d});
      const bool claims = claim != model.claims.end();
      compare_blob(catalog.find(client, d), claims ? &claim->second : nullptr, row.size);
      RC_ASSERT(catalog.find_any(client, d).has_value() == model.held(d));
      if (claims) claimants.push_back(client);
    }
    RC_ASSERT(catalog.claimants(d) == claimants);
    if (model.pinned(d, true)) pending.push_back(d);
    if (model.pinned(d, false)) pinned.push_back(d);
    RC_ASSERT(catalog.pinned(d) == model.pinned(d, false));
  }
  for (const auto& [of, row] : model.pins) {
    if (!row.pending) pins.push_back(of);
    RC_ASSERT(catalog.pinned(of.first, of.second) == !row.pending);
  }
  RC_ASSERT(catalog.pending_pins() == pending);

  std::vector<Digest> listed;
  for (const Blob& blob : catalog.list("", "", 100)) listed.push_back(blob.digest);
  RC_ASSERT(listed == held);
  for (const std::string& client : kClients) {
    std::vector<Digest> own;
    for (const auto& [key, row] : model.claims) {
      if (key.first == client) own.push_back(key.second);
    }
    listed.clear();
    for (const Blob& blob : catalog.list(client, "", 100)) listed.push_back(blob.digest);
    RC_ASSERT(listed == own);
  }
  std::vector<std::pair<Digest, std::string>> found;
  std::string after;
  for (auto page = catalog.pins(after, 1); !page.empty(); page = catalog.pins(after, 1)) {
    for (const Pin& pin : page) {
      found.emplace_back(pin.digest, pin.owner);
      RC_ASSERT(pin.digest == page[0].digest);
      RC_ASSERT(pin.note == model.pins.at(found.back()).note);
      RC_ASSERT(pin.created_ns == model.pins.at(found.back()).created);
    }
    after = page[0].digest.to_string();
  }
  RC_ASSERT(found == pins);

  const auto ingests = catalog.ingests("");
  RC_ASSERT(ingests.size() == model.ingests.size());
  for (const Ingest& ingest : ingests) {
    const Ingest& row = model.ingests.at({ingest.client, ingest.ref});
    RC_ASSERT(std::tie(ingest.key, ingest.expected, ingest.total, ingest.started_ns) ==
              std::tie(row.key, row.expected, row.total, row.started_ns));
  }
  const Totals totals = catalog.totals();
  RC_ASSERT(totals.blobs == held.size());
  RC_ASSERT(totals.bytes == bytes);
  RC_ASSERT(totals.claims == model.claims.size());
  RC_ASSERT(totals.pins == pinned.size());
  RC_ASSERT(totals.ingests == model.ingests.size());
}

TEST_CASE("the catalog does what maps do") {
  const bool holds = rc::check([] {
    const auto operations = *rc::gen::container<std::vector<Operation>>(operation());
    const TempDir dir;
    const std::string path = dir / "c";
    Model model;
    auto catalog = Catalog::open(path);
    for (const Operation& op : operations) apply(catalog, model, op, path);
    compare(*catalog, model);
    catalog.reset();
    catalog = Catalog::open(path);
    compare(*catalog, model);
    catalog.reset();
    check_file(path);
  });
  REQUIRE(holds);
}

}  // namespace
}  // namespace ipcs::catalog::testing
