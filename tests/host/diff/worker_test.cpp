// The worker process as ipcsd holds it: looked at while it works, and when it does not do what it should.
#include "diff/worker.hpp"

#include <catch2/catch.hpp>
#include <linux/capability.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>

using namespace ipcs;
using namespace ipcs::diff;
using namespace std::chrono_literals;

namespace fs = std::filesystem;

namespace {

struct Directory {
  Directory() {
    std::string name = fs::temp_directory_path() / "ipcs-worker-XXXXXX";
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~Directory() { fs::remove_all(path); }
  fs::path path;
};

Job job_for(const Directory& directory) {
  return {{{"bind", directory.path.string(), "", {"rbind", "rw"}}}, "/nowhere", false, false, 0, ::getpid()};
}

// The one child of this process.
pid_t child() {
  std::ifstream file("/proc/self/task/" + std::to_string(::gettid()) + "/children");
  pid_t pid = 0;
  file >> pid;
  return pid;
}

std::string status_of(pid_t pid, const std::string& key) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(key + ":\t")) return line.substr(key.size() + 2);
  }
  return "";
}

std::string link_of(pid_t pid, const std::string& name) {
  std::error_code error;
  return fs::read_symlink("/proc/" + std::to_string(pid) + "/" + name, error).string();
}

bool eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 500; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(10ms);
  }
  return false;
}

}  // namespace

TEST_CASE("a worker has given everything up by the time it waits for bytes") {
  const Directory directory;
  const Call call;
  Worker worker(IPCS_BIN_DIR "/ipcs-unpack", job_for(directory));
  const pid_t pid = child();
  REQUIRE(pid > 0);
  REQUIRE(eventually([&] { return status_of(pid, "Seccomp") == "2"; }));
  uint64_t kept = 0;
  for (const int capability : {CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_MKNOD, CAP_SETFCAP, CAP_SYS_ADMIN})
    kept |= uint64_t{1} << capability;
  for (const char* set : {"CapEff", "CapPrm"}) CHECK((std::stoull(status_of(pid, set), nullptr, 16) & ~kept) == 0);
  CHECK(std::stoull(status_of(pid, "CapInh"), nullptr, 16) == 0);
  CHECK(status_of(pid, "NoNewPrivs") == "1");
  for (const char* space : {"ns/net", "ns/mnt", "ns/ipc"}) {
    INFO(space);
    CHECK_FALSE(link_of(pid, space).empty());
    CHECK(link_of(pid, space) != link_of(::getpid(), space));
  }
  CHECK(link_of(pid, "root") != "/.");
  struct stat root {}, target {};
  REQUIRE(::stat(("/proc/" + std::to_string(pid) + "/root").c_str(), &root) == 0);
  REQUIRE(::stat(directory.path.c_str(), &target) == 0);
  CHECK(root.st_ino == target.st_ino);
  std::ifstream score("/proc/" + std::to_string(pid) + "/oom_score_adj");
  int adjusted = 0;
  score >> adjusted;
  CHECK(adjusted >= 500);
  for (const auto& entry : fs::directory_iterator("/proc/" + std::to_string(pid) + "/fd")) {
    std::error_code error;
    INFO(entry.path() << " " << fs::read_symlink(entry.path(), error));
    CHECK(fs::read_symlink(entry.path(), error).string().find("socket:") == std::string::npos);
  }
  CHECK(worker.finish(call).code == Code::kOk);  // a layer of no bytes has no files
}

TEST_CASE("a worker whose ipcsd has gone does nothing") {
  const Directory directory;
  Job job = job_for(directory);
  job.parent = 1;
  Worker worker(IPCS_BIN_DIR "/ipcs-unpack", job);
  const Call call;
  CHECK(worker.finish(call).code == Code::kCancelled);
}

TEST_CASE("a worker that says nothing more and lives on holds up nobody who gives up") {
  const Directory directory;
  const fs::path program = directory.path / "deaf";
  std::ofstream(program) << "#!/bin/sh\nexec 4>&-\nexec sleep 60\n";
  fs::permissions(program, fs::perms::owner_all);
  pid_t pid = 0;
  {
    Worker worker(program, job_for(directory));
    pid = child();
    Call call;
    std::thread impatient([&] {
      std::this_thread::sleep_for(300ms);
      call.cancel();
    });
    const auto begun = std::chrono::steady_clock::now();
    try {
      worker.finish(call);
      FAIL("it ended");
    } catch (const Error& error) {
      CHECK(error.code() == Code::kCancelled);
    }
    CHECK(std::chrono::steady_clock::now() - begun < 10s);
    impatient.join();
  }
  CHECK(::kill(pid, 0) != 0);
}
