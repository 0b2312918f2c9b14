// Applies layers of the store to snapshots, each in a worker process.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <vector>

#include "content/content.hpp"
#include "diff/job.hpp"
#include "log/log.hpp"
#include "metrics/metrics.hpp"
#include "oci/digest.hpp"

namespace ipcs::diff {

// What is to be applied, where to.
struct Request {
  std::string digest;
  std::string media_type;
  std::vector<Mount> mounts;
  bool sync = false;
};

// The uncompressed layer.
struct Applied {
  std::string digest;
  uint64_t size = 0;
};

// What has been applied since the start.
struct UnpackTotals {
  std::atomic<uint64_t> applied{0}, failed{0};
  std::atomic<int64_t> under_way{0};
  std::atomic<uint64_t> stored_bytes{0}, uncompressed_bytes{0};
  // Time by stage; the stages of a layer run at the same time.
  std::atomic<uint64_t> read_ns{0}, decompress_ns{0}, hash_ns{0}, write_ns{0};
};

// The totals for a scrape.
std::vector<metrics::Sample> samples(const UnpackTotals& totals);

// [thread-safe]
class Unpacker {
 public:
  static constexpr size_t kMostWorkers = 16;  // at once, as they share memory and processors; other layers wait
  struct Options {
    std::string program;      // ipcs-unpack
    std::string mount_point;  // an empty directory
    uint64_t max_size = 0;    // bytes of an uncompressed layer; 0: no limit
    log::Log log = log::Log::none();
  };

  // `content` outlives the unpacker.
  Unpacker(content::Content& content, Options options) : content_(content), options_(std::move(options)) {}

  // Blocks until the layer is applied, or is not; what has been written stays then, and containerd drops the
  // snapshot. Throws Error: kUnimplemented for media types and mounts that others may know; kNotFound; kDataLoss for
  // damaged bytes; kInvalidArgument for an archive that is none; kCancelled, and the worker has ended.
  Applied apply(const Call& call, const Request& request);

  // Logs, and counts where it is a failure, that a layer is not applied; apply() does so itself. `digest` may be any
  // bytes; `took` is in seconds. containerd's transfer service, which has no next differ, hides the reason of
  // kUnimplemented; the log has it.
  void note_refused(const std::string& digest, const Error& error, double took = 0);

  const UnpackTotals& totals() const noexcept { return totals_; }

 private:
  using Clock = std::chrono::steady_clock;

  // A worker's place, while it lives. Waits for one; throws Error kCancelled when the call is.
  class Place {
   public:
    Place(Unpacker& unpacker, const Call& call);
    ~Place();
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;

   private:
    Unpacker& unpacker_;
  };

  // Adds the time that the backend took to `reading`.
  Answer run(const Call& call, const content::OpenBlob& blob, const Job& job, Clock::duration& reading);

  content::Content& content_;
  const Options options_;
  UnpackTotals totals_;
  std::mutex places_mutex_;
  std::condition_variable place_free_;
  size_t workers_ = 0;
};

// Where the worker's program is, for an ipcsd that is `executable`: beside it or in ../libexec/ipcs. Throws Error
// kFailedPrecondition where it is in neither.
std::string find_worker(const std::string& executable);

}  // namespace ipcs::diff
