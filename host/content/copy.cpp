// One blob after the other: from the previous store into an ingest that only this copy knows, then a commit.
#include "content/copy.hpp"

#include <fmt/format.h>

#include <vector>

namespace ipcs::content {
namespace {

constexpr size_t kChunk = 1 << 20;  // bytes read at once

// One run of copy_blobs().
class Copying {
 public:
  Copying(const Call& call, Content& content, const Observer& observer)
      : call_(call), content_(content), stores_(content.stores()), observer_(observer), buffer_(kChunk) {}

  CopyReport run() {
    const Amount lacking = stores_.lacking();
    progress().total_blobs = lacking.count;
    progress().total_bytes = lacking.bytes;
    std::optional<Digest> after;
    while (const auto next = stores_.next_lacking(after)) {
      const auto& [digest, size] = *next;
      progress().current = digest.to_string();
      report();
      const uint64_t before = progress().done_bytes;
      one(digest, size);
      progress().done_bytes = before + size;  // however much of it was read
      ++progress().done_blobs;
      after = digest;
    }
    progress().current.clear();
    report();
    report_.complete = stores_.lacking().count == 0;
    return report_;
  }

 private:
  void one(const Digest& digest, uint64_t size) {
    std::optional<Ingest> bytes = stores_.begin_copy(call_, digest);
    if (!bytes) return;  // removed or written since it was looked up
    bool keep = true;
    try {
      keep = copy(digest, size, *bytes);
    } catch (...) {
      bytes.reset();
      stores_.end_copy(call_, digest, true);
      throw;
    }
    bytes.reset();
    stores_.end_copy(call_, digest, keep);
  }

  // Returns whether the bytes copied so far are of use for another try.
  bool copy(const Digest& digest, uint64_t size, Ingest& bytes) {
    const auto stored = stores_.stat(call_, digest);
    const bool root_digest = stored && stored->root_digest;
    Digest actual = digest;
    auto wrong = transfer(digest, size, bytes, root_digest ? &actual : nullptr);
    if (!wrong) {
      try {
        if (content_.commit_copy(call_, digest, size, actual, bytes)) report_.copied.add(size);
        return false;
      } catch (const Error& e) {
        if (!root_digest || e.code() != Code::kFailedPrecondition) throw;
        // The new store can't hold a blob under such a digest.
        wrong = Finding{FindingKind::kRefused, digest, e.what()};
      }
    }
    if (!stores_.lacks(digest)) return false;  // nobody cares any more
    if (wrong->kind == FindingKind::kDamaged) {
      content_.quarantine(call_, digest, Stores::Place::kPrevious);
      wrong->detail += kOutOfServiceInPrevious;
      content_.log().warn("a damaged blob was found", {{"digest", digest.to_string()}, {"detail", wrong->detail}});
    }
    if (observer_.found) observer_.found(*wrong);
    return wrong->kind == FindingKind::kUnreadable;
  }

  // Fills the ingest. Returns what is wrong with the previous store's bytes; throws what is wrong with the current one.
  // Where the digest is that of a root (`root`), the previous store has checked the bytes; `*root` gets their own digest.
  std::optional<Finding> transfer(const Digest& digest, uint64_t size, Ingest& bytes, Digest* root) {
    std::optional<BlobReader> reader;
    if (auto wrong = reading(digest, [&] { reader.emplace(stores_.previous()->open_blob(call_, digest.to_string())); }))
      return wrong;
    if (reader->size() != size)
      return damaged(digest, fmt::format("{} bytes are stored, {} were committed", reader->size(), size));
    const uint64_t before = progress().done_bytes;
    oci::Hasher hasher(digest.algorithm());
    // What an earlier try has left can't be checked against a root's digest here.
    if (root != nullptr && bytes.size() > 0) bytes.truncate(call_, 0);
    uint64_t at = take_up(size, bytes, hasher);
    bool taken_up = at > 0;
    for (;;) {
      while (at < size) {
        size_t count = 0;
        if (auto wrong = reading(digest, [&] { count = reader->read_at(call_, at, buffer_); })) return wrong;
        if (count == 0) return damaged(digest, fmt::format("the bytes end at {} of {}", at, size));
        const auto chunk = std::span<const uint8_t>(buffer_).first(count);
        bytes.append(call_, chunk);
        hasher.update(chunk);
        at += count;
        advance(count);
      }
      const Digest actual = hasher.digest();
      if (root != nullptr) *root = actual;
      if (actual == digest || root != nullptr) return std::nullopt;
      if (!taken_up) return damaged(digest, fmt::format("the bytes have the digest {}", actual.to_string()));
      // A power loss may have left anything of the earlier try, so the previous store is not to blame yet.
      bytes.truncate(call_, 0);
      hasher.reset();
      at = 0;
      taken_up = false;
      progress().done_bytes = before;
    }
  }

  // Hashes what an earlier try has copied; returns how much that is.
  uint64_t take_up(uint64_t size, Ingest& bytes, oci::Hasher& hasher) {
    const uint64_t held = bytes.size();
    uint64_t at = 0;
    while (held <= size && at < held) {
      const size_t count = bytes.read_at(call_, at, buffer_);
      if (count == 0) break;
      hasher.update(std::span<const uint8_t>(buffer_).first(count));
      at += count;
      advance(count);
    }
    if (at < held) bytes.truncate(call_, at);
    return at;
  }

  // Runs what reads from the previous store.
  template <class Body>
  std::optional<Finding> reading(const Digest& digest, Body&& body) const {
    try {
      body();
      return std::nullopt;
    } catch (const Error& e) {
      return to_finding(digest, e);
    }
  }

  static Finding damaged(const Digest& digest, std::string detail) {
    return {FindingKind::kDamaged, digest, std::move(detail)};
  }

  void advance(size_t bytes) {
    progress().done_bytes += bytes;
    report();
  }
  void report() const { content::report(call_, "copy", observer_, report_.progress); }
  Progress& progress() noexcept { return report_.progress; }

  const Call& call_;
  Content& content_;
  Stores& stores_;
  const Observer& observer_;
  CopyReport report_;
  std::vector<uint8_t> buffer_;
};

}  // namespace

CopyReport copy_blobs(const Call& call, Content& content, const Observer& observer) {
  if (content.stores().previous() == nullptr)
    throw Error(Code::kFailedPrecondition, "no previous backend is configured: there is nothing to copy");
  const std::unique_lock alone(content.stores().copying(), std::try_to_lock);
  if (!alone) throw Error(Code::kFailedPrecondition, "another copy of the previous backend is under way");
  CopyReport report = Copying(call, content, observer).run();
  if (report.complete && !content.catalog().previous_store_id().empty()) content.catalog().set_previous_store_id({});
  return report;
}

}  // namespace ipcs::content
