// One blob after the other, in the order of their digests.
#include "content/verify.hpp"

#include <fmt/format.h>

#include <optional>
#include <vector>

namespace ipcs::content {
namespace {

constexpr size_t kChunk = 1 << 20;  // bytes read at once
constexpr size_t kPage = 256;       // rows taken from the catalog at once

// A blob to be read, and the size that the catalog remembers.
struct Candidate {
  Digest digest;
  std::optional<uint64_t> committed;  // nothing: nobody holds it
};

// One run of verify().
class Verification {
 public:
  Verification(const Call& call, Content& content, const Observer& observer)
      : call_(call), content_(content), observer_(observer), buffer_(kChunk) {}

  void all() {
    const catalog::Totals totals = content_.catalog().totals();
    progress_.total_blobs = totals.blobs;
    progress_.total_bytes = totals.bytes;
    std::string after;
    for (;;) {
      const std::vector<Blob> page = content_.catalog().list({}, after, kPage);
      if (page.empty()) return;
      after = page.back().digest.to_string();
      for (const Blob& blob : page) one({blob.digest, blob.size});
    }
  }

  void these(std::span<const Digest> digests) {
    std::vector<Candidate> candidates;
    for (const Digest& digest : digests) {
      const auto known = content_.catalog().find_any({}, digest);
      const auto stored = content_.stores().stat(call_, digest);
      if (!known && !stored) throw Error(Code::kNotFound, fmt::format("content {}: not found", digest.to_string()));
      candidates.push_back({digest, known ? std::optional(known->size) : std::nullopt});
      ++progress_.total_blobs;
      progress_.total_bytes += known ? known->size : stored->size;
    }
    for (const Candidate& candidate : candidates) one(candidate);
  }

  Progress finish() {
    progress_.current.clear();
    report();
    return progress_;
  }

 private:
  void one(const Candidate& candidate) {
    progress_.current = candidate.digest.to_string();
    report();
    const uint64_t before = progress_.done_bytes;
    auto place = Stores::Place::kCurrent;
    try {
      if (auto wrong = read(candidate, place))
        damaged({FindingKind::kDamaged, candidate.digest, *std::move(wrong)}, place);
    } catch (const Error& e) {
      const Finding finding = to_finding(candidate.digest, e);
      if (finding.kind == FindingKind::kDamaged) {
        damaged(finding, place);
      } else if (finding.kind != FindingKind::kMissing || content_.catalog().find_any({}, candidate.digest)) {
        // It may have been deleted since it was listed; only one that is still held is missed.
        found(finding);
      }
    }
    // However much could be read: a blob that is done counts whole, so that the end of the bar is the end.
    if (candidate.committed) progress_.done_bytes = before + *candidate.committed;
    ++progress_.done_blobs;
  }

  // Reads the blob; sets where it lies. Returns what is wrong with its bytes.
  std::optional<std::string> read(const Candidate& candidate, Stores::Place& place) {
    const auto [reader, where] = content_.stores().open(call_, candidate.digest);
    place = where;
    const uint64_t size = reader.size();
    if (candidate.committed && size != *candidate.committed)
      return fmt::format("{} bytes are stored, {} were committed", size, *candidate.committed);
    oci::Hasher hasher(candidate.digest.algorithm());
    for (uint64_t at = 0; at < size;) {
      const size_t count = reader.read_at(call_, at, buffer_);
      if (count == 0) return fmt::format("the bytes end at {} of {}", at, size);
      hasher.update(std::span(buffer_).first(count));
      at += count;
      progress_.done_bytes += count;
      report();
    }
    const Digest digest = hasher.digest();
    if (digest != candidate.digest) return fmt::format("the bytes have the digest {}", digest.to_string());
    return std::nullopt;
  }

  void damaged(Finding finding, Stores::Place place) {
    try {
      content_.quarantine(call_, finding.digest, place);
      if (place == Stores::Place::kPrevious) finding.detail += kOutOfServiceInPrevious;
    } catch (const Error& e) {
      // A read-only store, say. That the blob is damaged is to be told all the same.
      finding.detail += fmt::format("; it is still in service: {}", e.what());
    }
    content_.log().warn("a damaged blob was found",
                        {{"digest", finding.digest.to_string()}, {"detail", finding.detail}});
    found(finding);
  }

  void found(const Finding& finding) const {
    if (observer_.found) observer_.found(finding);
  }

  void report() const { content::report(call_, "verify", observer_, progress_); }

  const Call& call_;
  Content& content_;
  const Observer& observer_;
  Progress progress_;
  std::vector<uint8_t> buffer_;
};

}  // namespace

Progress verify(const Call& call, Content& content, std::span<const Digest> digests, const Observer& observer) {
  Verification verification(call, content, observer);
  if (digests.empty()) {
    verification.all();
  } else {
    verification.these(digests);
  }
  return verification.finish();
}

}  // namespace ipcs::content
