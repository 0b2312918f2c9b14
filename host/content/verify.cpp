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
  void one(Candidate candidate) {
    progress_.current = candidate.digest.to_string();
    report();
    const uint64_t before = progress_.done_bytes;
    while (!settled(candidate)) {
      // Other bytes have come: what is wrong with those before says nothing about them.
      const auto known = content_.catalog().find_any({}, candidate.digest);
      candidate.committed = known ? std::optional(known->size) : std::nullopt;
      progress_.done_bytes = before;
      report();
    }
    // However much could be read: a blob that is done counts whole, so that the end of the bar is the end.
    if (candidate.committed) progress_.done_bytes = before + *candidate.committed;
    ++progress_.done_blobs;
  }

  // Reads the blob and deals with what is found. Returns false when its bytes changed meanwhile.
  bool settled(const Candidate& candidate) {
    const auto watch = content_.watch(candidate.digest);
    auto place = Stores::Place::kCurrent;
    try {
      auto wrong = read(candidate, place);
      return !wrong || damaged({FindingKind::kDamaged, candidate.digest, *std::move(wrong)}, place, watch);
    } catch (const Error& e) {
      const Finding finding = to_finding(candidate.digest, e);
      if (finding.kind == FindingKind::kDamaged) return damaged(finding, place, watch);
      if (watch.changed()) return false;
      // It may have been deleted since it was listed; only one that is still held is missed.
      if (finding.kind != FindingKind::kMissing || content_.catalog().find_any({}, candidate.digest)) found(finding);
      return true;
    }
  }

  // Reads the blob; sets where it lies. Returns what is wrong with its bytes.
  std::optional<std::string> read(const Candidate& candidate, Stores::Place& place) {
    const auto [reader, where] = content_.stores().open(call_, candidate.digest);
    place = where;
    const uint64_t size = reader.size();
    if (candidate.committed && size != *candidate.committed)
      return fmt::format("{} bytes are stored, {} were committed", size, *candidate.committed);
    const auto stored = content_.stores().stat(call_, candidate.digest);
    oci::Hasher hasher(candidate.digest.algorithm());
    for (uint64_t at = 0; at < size;) {
      const size_t count = reader.read_at(call_, at, buffer_);
      if (count == 0) return fmt::format("the bytes end at {} of {}", at, size);
      hasher.update(std::span(buffer_).first(count));
      at += count;
      progress_.done_bytes += count;
      report();
    }
    if (stored && stored->root_digest) return std::nullopt;  // the backend has checked what it gave
    const Digest digest = hasher.digest();
    if (digest != candidate.digest) return fmt::format("the bytes have the digest {}", digest.to_string());
    return std::nullopt;
  }

  bool damaged(Finding finding, Stores::Place place, const ChangeWatch::Watch& watch) {
    try {
      if (!content_.quarantine(call_, finding.digest, place, &watch)) return false;
      if (place == Stores::Place::kPrevious) finding.detail += kOutOfServiceInPrevious;
    } catch (const Error& e) {
      // A read-only store, say. That the blob is damaged is to be told all the same.
      finding.detail += fmt::format("; it is still in service: {}", e.what());
    }
    content_.log().warn("a damaged blob was found",
                        {{"digest", finding.digest.to_string()}, {"detail", finding.detail}});
    found(finding);
    return true;
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
