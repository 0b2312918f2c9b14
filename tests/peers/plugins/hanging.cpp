// A backend in memory in which reads hang, for tests of the lanes: the blob's first bytes say where and how.
//
//   "hang in open…"  open_blob waits until the call is cancelled or its time is over
//   "hang in read…"  read_at does
//   "deaf in read…"  read_at waits for good and notices nothing
//
// The macro LOCAL_READS makes it say IPCS_STORE_LOCAL, LOOK_UPS that it has a network, in which no search ends by itself,
// and with DEAF none at all.
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "ipcs/plugin.hpp"
#include "ipcs/plugin_extensions.hpp"

// The example is the backend; its export gives way to the one below.
#pragma push_macro("IPCS_PLUGIN")
#undef IPCS_PLUGIN
#define IPCS_PLUGIN(...)
#include "minimal-plugin/memory.cpp"
#pragma pop_macro("IPCS_PLUGIN")

namespace {

bool begins(const Bytes& bytes, std::string_view text) {
  return bytes.size() >= text.size() && std::equal(text.begin(), text.end(), bytes.begin());
}

// As an author is told to wait for a network.
[[noreturn]] void hang(const Call& call) {
  pollfd cancel = {call.cancel_fd(), POLLIN, 0};
  for (;;) {
    call.check();
    const auto left = call.has_deadline()
                          ? std::chrono::ceil<std::chrono::milliseconds>(call.deadline() - std::chrono::steady_clock::now())
                          : std::chrono::milliseconds(1000);
    ::poll(&cancel, 1, static_cast<int>(std::clamp<int64_t>(left.count(), 0, 1000)));
  }
}

struct HangingReader : MemoryReader {
  using MemoryReader::MemoryReader;
  size_t read_at(const Call& call, uint64_t offset, std::span<uint8_t> out) override {
    if (begins(*bytes, "hang in read")) hang(call);
    while (begins(*bytes, "deaf in read")) ::pause();
    return MemoryReader::read_at(call, offset, out);
  }
  size_t read_cached(uint64_t, std::span<uint8_t>) noexcept override { return 0; }  // nothing is at hand
};

struct HangingStore : MemoryStore {
  static std::unique_ptr<ContentStore> open(const Host& host, const Call& call, std::string_view config, bool read_only) {
    MemoryStore::open(host, call, config, read_only);
    return std::make_unique<HangingStore>();
  }
  StoreInfo info(const Call& call) override {
    StoreInfo out = MemoryStore::info(call);
#ifndef LOCAL_READS
    out.local = false;
#endif
    return out;
  }
  std::unique_ptr<Reader> open_blob(const Call& call, std::string_view digest) override {
    std::shared_ptr<Bytes> bytes;
    {
      const std::lock_guard lock(mutex);
      bytes = find(blobs, digest);
    }
    if (begins(*bytes, "hang in open")) hang(call);
    return std::make_unique<HangingReader>(bytes);
  }
};

// With a network whose searches hang.
struct SearchingStore : HangingStore, ipcs::plugin::Locator {
  static std::unique_ptr<ContentStore> open(const Host& host, const Call& call, std::string_view config, bool read_only) {
    MemoryStore::open(host, call, config, read_only);
    return std::make_unique<SearchingStore>();
  }
  const void* extension(std::string_view id) noexcept override {
    return ipcs::plugin::extension_of<SearchingStore>(id);
  }
  std::string cid_of(const Call&, std::string_view digest) override {
    throw Error(Code::kNotFound, std::string(digest) + ": has no CID");
  }
  Entry look_up(const Call& call, std::string_view) override {
#ifdef DEAF
    for (;;) ::pause();
#endif
    hang(call);
  }
};

}  // namespace

#ifdef LOOK_UPS
using Exported = SearchingStore;
#else
using Exported = HangingStore;
#endif
IPCS_PLUGIN(Exported, PLUGIN_NAME, "1.0", "blobs in memory, some of which hang")
