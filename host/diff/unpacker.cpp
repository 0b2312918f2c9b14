// From a request to a worker and its answer.
#include "diff/unpacker.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>

#include "diff/media_type.hpp"
#include "diff/worker.hpp"

namespace ipcs::diff {
namespace {

constexpr size_t kPiece = 1 << 20;  // bytes that are read from the backend at once

uint64_t to_ns(double value) { return static_cast<uint64_t>(value * 1e9); }

// One more while it lives.
struct UnderWay {
  std::atomic<int64_t>& count;
  explicit UnderWay(std::atomic<int64_t>& counted) : count(counted) { ++count; }
  ~UnderWay() { --count; }
};

std::string seconds(double value) { return fmt::format("{:.3f}", value); }

double seconds_of(std::chrono::steady_clock::duration time) { return std::chrono::duration<double>(time).count(); }

}  // namespace

Unpacker::Place::Place(Unpacker& unpacker, const Call& call) : unpacker_(unpacker) {
  std::unique_lock lock(unpacker_.places_mutex_);
  while (unpacker_.workers_ >= kMostWorkers) {
    if (call.cancelled()) throw Error(Code::kCancelled, "the call was cancelled");
    unpacker_.place_free_.wait_for(lock, std::chrono::milliseconds(50));
  }
  ++unpacker_.workers_;
}

Unpacker::Place::~Place() {
  const std::lock_guard lock(unpacker_.places_mutex_);
  --unpacker_.workers_;
  unpacker_.place_free_.notify_one();
}

Answer Unpacker::run(const Call& call, const content::OpenBlob& blob, const Job& job, Clock::duration& reading) {
  const Place place(*this, call);
  Worker worker(options_.program, job);
  std::vector<uint8_t> piece(std::min<uint64_t>(kPiece, std::max<uint64_t>(blob.size, 1)));
  for (uint64_t at = 0; at < blob.size;) {
    const auto begun = Clock::now();
    const size_t count = blob.reader.read_at(call, at, piece);
    reading += Clock::now() - begun;
    if (count == 0)
      throw Error(Code::kDataLoss, fmt::format("the bytes end at {} of {}", at, blob.size));
    at += count;
    if (!worker.feed(call, std::span<const uint8_t>(piece).first(count))) break;
  }
  return worker.finish(call);
}

void Unpacker::note_refused(const std::string& digest, const Error& error, double took) {
  if (error.code() == Code::kUnimplemented) {
    options_.log.info("layer left to the next differ",
                      {{"digest", content::printable(digest)}, {"reason", error.what()}});
    return;
  }
  ++totals_.failed;
  options_.log.warn("layer not applied", {{"digest", content::printable(digest)},
                                          {"code", code_name(error.code())},
                                          {"reason", error.what()},
                                          {"seconds", seconds(took)}});
}

Applied Unpacker::apply(const Call& call, const Request& request) {
  const auto compressed = may_be_compressed(request.media_type);
  if (!compressed) {
    const Error unknown(Code::kUnimplemented,
                        "layers of type \"" + content::printable(request.media_type) + "\" are not known to this differ");
    note_refused(request.digest, unknown);
    throw unknown;
  }
  const auto digest = oci::Digest::parse(request.digest);
  const auto begun = Clock::now();
  const UnderWay counted(totals_.under_way);
  const auto blob = [&] {
    try {
      return content_.open(call, digest);
    } catch (const Error& e) {
      note_refused(request.digest, e, seconds_of(Clock::now() - begun));
      throw;
    }
  }();
  const Job job{request.mounts, options_.mount_point, *compressed, request.sync, options_.max_size, ::getpid()};
  Answer answer;
  Clock::duration reading{};
  try {
    answer = run(call, *blob, job, reading);
    if (answer.code != Code::kOk) throw Error(answer.code, answer.message);
  } catch (const Error& e) {
    note_refused(request.digest, e, seconds_of(Clock::now() - begun));
    throw Error(e.code(), fmt::format("layer {}: {}", digest.to_string(), e.what()));
  }
  ++totals_.applied;
  totals_.stored_bytes += blob->size;
  totals_.uncompressed_bytes += answer.size;
  totals_.read_ns += to_ns(seconds_of(reading));
  totals_.decompress_ns += to_ns(answer.decompress_seconds);
  totals_.hash_ns += to_ns(answer.hash_seconds);
  totals_.write_ns += to_ns(answer.write_seconds);
  const double took = seconds_of(Clock::now() - begun);
  if (answer.warnings != 0)
    options_.log.warn("layer applied with omissions", {{"digest", digest.to_string()},
                                                       {"omissions", std::to_string(answer.warnings)},
                                                       {"first", content::printable(answer.warning)}});
  options_.log.info("layer applied", {{"digest", digest.to_string()},
                                      {"bytes", std::to_string(blob->size)},
                                      {"uncompressed", std::to_string(answer.size)},
                                      {"entries", std::to_string(answer.entries)},
                                      {"seconds", seconds(took)},
                                      {"read", seconds(seconds_of(reading))},
                                      {"decompress", seconds(answer.decompress_seconds)},
                                      {"hash", seconds(answer.hash_seconds)},
                                      {"write", seconds(answer.write_seconds)}});
  return {answer.digest, answer.size};
}

std::vector<metrics::Sample> samples(const UnpackTotals& totals) {
  const auto stage = [](const std::atomic<uint64_t>& ns) { return static_cast<double>(ns) / 1e9; };
  return {{"ipcs_diff_layers_applied", "Layers applied to snapshots.", static_cast<double>(totals.applied)},
          {"ipcs_diff_layers_failed", "Layers that could not be applied.", static_cast<double>(totals.failed)},
          {"ipcs_diff_layers_under_way", "Layers that are being applied.", static_cast<double>(totals.under_way)},
          {"ipcs_diff_stored_bytes", "Bytes of applied layers, as stored.", static_cast<double>(totals.stored_bytes)},
          {"ipcs_diff_uncompressed_bytes", "Bytes of their archives.", static_cast<double>(totals.uncompressed_bytes)},
          {"ipcs_diff_read_seconds", "Time spent reading layers from the backend.", stage(totals.read_ns)},
          {"ipcs_diff_decompress_seconds", "Time spent decompressing them.", stage(totals.decompress_ns)},
          {"ipcs_diff_hash_seconds", "Time spent hashing their archives.", stage(totals.hash_ns)},
          {"ipcs_diff_write_seconds", "Time spent writing their files.", stage(totals.write_ns)}};
}

std::string find_worker(const std::string& executable) {
  const std::filesystem::path bin = std::filesystem::path(executable).parent_path();
  const auto candidates = {bin / "ipcs-unpack", bin.parent_path() / "libexec/ipcs/ipcs-unpack"};
  for (const auto& path : candidates) {
    if (::access(path.c_str(), X_OK) == 0) return path.string();
  }
  throw Error(Code::kFailedPrecondition,
              fmt::format("[diff] needs the program ipcs-unpack, which is neither in {} nor in {}", bin.string(),
                          (bin.parent_path() / "libexec/ipcs").string()));
}

}  // namespace ipcs::diff
