// The worker process as ipcsd sees it: started, fed, listened to, and ended.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>

#include "diff/fd.hpp"
#include "diff/job.hpp"
#include "ipcs/store.hpp"

namespace ipcs::diff {

// One worker with one job. The destructor ends the process when it has not ended. One thread; that thread must live as
// long as the worker, which ends with it.
class Worker {
 public:
  // Throws Error kInternal when `program` can't be started.
  Worker(const std::string& program, const Job& job);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Gives the worker stored bytes; waits until it has taken them. False when it wants no more: it has failed, and
  // answer() says why. Throws Error kCancelled when the call is.
  bool feed(const Call& call, std::span<const uint8_t> bytes);
  // There are no more bytes: waits for the end of the process, and returns what it says. Throws Error: kCancelled;
  // kInternal when it died without a word.
  Answer finish(const Call& call);

 private:
  // Waits for `fd`. Throws kCancelled.
  void wait_for(const Call& call, int fd, short events) const;
  int reap();  // waits for its end

  pid_t pid_ = -1;
  Fd bytes_, answer_;
};

}  // namespace ipcs::diff
