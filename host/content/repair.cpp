// The backend's own walk, then one over its list and one over the catalog's rows.
#include "content/repair.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <vector>

namespace ipcs::content {
namespace {

constexpr size_t kPage = 1000;
constexpr auto kGraceStep = std::chrono::milliseconds(50);
constexpr int kGraceSteps = 40;

// One run of repair().
class Comparison {
 public:
  Comparison(const Call& call, Content& content, std::span<const std::string> clients, bool dry_run,
             const Repairer::Observer& observer)
      : call_(call), content_(content), clients_(clients), dry_run_(dry_run), observer_(observer) {}

  RepairReport run(const Repairer& store) {
    const Repairer::Observer counting{[this](const Difference& difference) { found(difference); },
                                      [this](const RepairProgress& progress) {
                                        go_on();
                                        report_.progress = progress;
                                        if (observer_.progress) observer_.progress(progress);
                                      }};
    report_.store = store.repair(call_, dry_run_, counting);
    // What differs at first sight is looked at again at the end, under its lock: commits and deletes go on.
    std::vector<Digest> suspects = rows_without_bytes();
    for (Digest& digest : blobs_without_row()) suspects.push_back(std::move(digest));
    // An adoption makes a blob known before it is pinned: it gets the time for that.
    if (!suspects.empty()) {
      for (int i = 0; i < kGraceSteps; ++i) {
        go_on();
        std::this_thread::sleep_for(kGraceStep);
        if (std::none_of(suspects.begin(), suspects.end(), [this](const Digest& digest) { return unheld(digest); })) break;
      }
    }
    for (const Digest& digest : suspects) {
      go_on();
      look_at(digest);
    }
    return report_;
  }

 private:
  std::vector<Digest> rows_without_bytes() {
    std::vector<Digest> suspects;
    std::string after;
    for (auto rows = content_.catalog().list({}, after, kPage); !rows.empty(); rows = content_.catalog().list({}, after, kPage)) {
      after = rows.back().digest.to_string();
      for (const Blob& row : rows) {
        go_on();
        const auto stored = content_.stores().stat(call_, row.digest);
        if (!stored || stored->size != row.size) suspects.push_back(row.digest);
      }
    }
    return suspects;
  }

  std::vector<Digest> blobs_without_row() {
    std::vector<Digest> suspects;
    Cursor cursor = content_.backend().list_blobs(call_);
    for (auto entries = cursor.next(call_); !entries.empty(); entries = cursor.next(call_)) {
      go_on();
      for (const Entry& entry : entries) {
        auto digest = Digest::try_parse(entry.name);
        if (digest && !content_.catalog().find_any({}, *digest)) suspects.push_back(*std::move(digest));
      }
    }
    return suspects;
  }

  bool unheld(const Digest& digest) { return content_.agreement(call_, digest) == Content::Agreement::kUnheld; }

  void look_at(const Digest& digest) {
    using Kind = Difference::Kind;
    switch (content_.agreement(call_, digest)) {
      case Content::Agreement::kAgree:
        return;
      case Content::Agreement::kMissing:
        return found({Kind::kMissing, digest.to_string(), "somebody holds it, but no bytes are stored; writing it again heals it", false});
      case Content::Agreement::kOtherSize:
        return found({Kind::kDamaged, digest.to_string(), "another size is stored than was committed", false});
      case Content::Agreement::kUnheld:
        break;
    }
    bool held = false;
    if (!dry_run_) {
      for (const std::string& client : clients_) held |= content_.claim_if_stored(call_, Client{client}, digest).has_value();
    }
    found({Kind::kLeaked, digest.to_string(), "it is stored, but nobody holds it", held});
  }

  void found(const Difference& difference) {
    switch (difference.kind) {
      case Difference::Kind::kLeaked:
        ++report_.leaked;
        break;
      case Difference::Kind::kMissing:
        ++report_.missing;
        break;
      case Difference::Kind::kDamaged:
        ++report_.damaged;
        break;
    }
    if (!difference.mended) ++report_.left;
    content_.log().warn(difference.mended ? "a difference was mended" : "a difference was found",
                        {{"name", printable(difference.name)}, {"detail", printable(difference.detail)}});
    if (observer_.found) observer_.found(difference);
  }

  void go_on() const {
    if (call_.cancelled()) throw Error(Code::kCancelled, "repair: cancelled");
  }

  const Call& call_;
  Content& content_;
  const std::span<const std::string> clients_;
  const bool dry_run_;
  const Repairer::Observer& observer_;
  RepairReport report_;
};

}  // namespace

RepairReport repair(const Call& call, Content& content, std::span<const std::string> clients, bool dry_run,
                    const Repairer::Observer& observer) {
  const auto store = Repairer::of(content.backend());
  if (!store) {
    throw Error(Code::kUnimplemented, fmt::format("the backend \"{}\" does not offer {}: it keeps no index beside its blobs",
                                                  content.backend().plugin().name, IPCS_REPAIR_V1));
  }
  return Comparison(call, content, clients, dry_run, observer).run(*store);
}

}  // namespace ipcs::content
