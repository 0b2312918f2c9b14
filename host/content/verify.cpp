// One blob after the other, in the order of their digests.
#include "content/verify.hpp"

#include <fmt/format.h>

#include <chrono>
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

bool expired(const Call& call) {
  const auto now = Call::Clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count() >= call.abi()->deadline_ns;
}

// One run of verify().
class Verification {
 public:
  Verification(const Call& call, Content& content, const VerifyObserver& observer)
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
      const auto stored = content_.backend().stat_blob(call_, digest.to_string());
      if (!known && !stored) throw Error(Code::kNotFound, fmt::format("content {}: not found", digest.to_string()));
      candidates.push_back({digest, known ? std::optional(known->size) : std::nullopt});
      ++progress_.total_blobs;
      progress_.total_bytes += known ? known->size : stored->size;
    }
    for (const Candidate& candidate : candidates) one(candidate);
  }

  VerifyProgress finish() {
    progress_.current.clear();
    report();
    return progress_;
  }

 private:
  void one(const Candidate& candidate) {
    progress_.current = candidate.digest.to_string();
    report();
    const uint64_t before = progress_.done_bytes;
    try {
      if (const auto wrong = read(candidate)) damaged(candidate, *wrong);
    } catch (const Error& e) {
      // The caller's end is no property of the blob.
      if (e.code() == Code::kCancelled || e.code() == Code::kDeadlineExceeded) throw;
      if (e.code() == Code::kNotFound) {
        missing(candidate);
      } else if (e.code() == Code::kDataLoss) {
        damaged(candidate, e.what());
      } else {
        found({FindingKind::kUnreadable, candidate.digest, e.what()});
      }
    }
    // However much could be read: a blob that is done counts whole, so that the end of the bar is the end.
    if (candidate.committed) progress_.done_bytes = before + *candidate.committed;
    ++progress_.done_blobs;
  }

  // Reads the blob. Returns what is wrong with its bytes.
  std::optional<std::string> read(const Candidate& candidate) {
    const BlobReader reader = content_.backend().open_blob(call_, candidate.digest.to_string());
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

  void damaged(const Candidate& candidate, std::string detail) {
    try {
      content_.quarantine(call_, candidate.digest);
    } catch (const Error& e) {
      // A read-only store, say. That the blob is damaged is to be told all the same.
      detail += fmt::format("; it is still in service: {}", e.what());
    }
    content_.log().warn("a damaged blob was found", {{"digest", candidate.digest.to_string()}, {"detail", detail}});
    found({FindingKind::kDamaged, candidate.digest, std::move(detail)});
  }

  void missing(const Candidate& candidate) {
    // It may have been deleted since it was listed; only one that is still held is missed.
    if (content_.catalog().find_any({}, candidate.digest))
      found({FindingKind::kMissing, candidate.digest, "no bytes are stored; writing them again heals it"});
  }

  void found(const Finding& finding) const {
    if (observer_.found) observer_.found(finding);
  }

  void report() const {
    if (call_.cancelled()) throw Error(Code::kCancelled, "verify: cancelled");
    if (expired(call_)) throw Error(Code::kDeadlineExceeded, "verify: the time is over");
    if (observer_.progress) observer_.progress(progress_);
  }

  const Call& call_;
  Content& content_;
  const VerifyObserver& observer_;
  VerifyProgress progress_;
  std::vector<uint8_t> buffer_;
};

}  // namespace

VerifyProgress verify(const Call& call, Content& content, std::span<const Digest> digests,
                      const VerifyObserver& observer) {
  Verification verification(call, content, observer);
  if (digests.empty()) {
    verification.all();
  } else {
    verification.these(digests);
  }
  return verification.finish();
}

}  // namespace ipcs::content
