// The example plugin with one promise broken, chosen by a macro: what `ipcsctl plugin check` is there to find.
#include <unistd.h>

#include <cstdlib>

#include "ipcs/plugin.hpp"

// The example exports a plugin of its own; this one stands in its place.
#pragma push_macro("IPCS_PLUGIN")
#undef IPCS_PLUGIN
#define IPCS_PLUGIN(...)
#include "minimal-plugin/memory.cpp"
#pragma pop_macro("IPCS_PLUGIN")

namespace {

struct FaultyIngest : MemoryIngest {
  using MemoryIngest::MemoryIngest;
  void commit(const Call& call, uint64_t size, std::string_view digest, std::string_view content_digest) override {
#if defined(ANY_DIGEST)
    content_digest = digest;  // bytes are accepted under a digest that is not theirs
#endif
    MemoryIngest::commit(call, size, digest, content_digest);
  }
  void truncate(const Call& call, uint64_t size) override {
    if (size > bytes->size()) {
#if defined(ABORT)
      std::abort();
#elif defined(EXIT)
      ::_exit(0);
#endif
    }
    MemoryIngest::truncate(call, size);
  }
};

struct FaultyStore : MemoryStore {
  static std::unique_ptr<ContentStore> open(const Host& host, const Call& call, std::string_view config,
                                            bool read_only) {
    MemoryStore::open(host, call, config, read_only);
    return std::make_unique<FaultyStore>();
  }
  std::unique_ptr<Ingest> open_ingest(const Call& call, std::string_view key, bool create, uint64_t size) override {
    MemoryStore::open_ingest(call, key, create, size);
    const std::lock_guard lock(mutex);
    return std::make_unique<FaultyIngest>(*this, key, find(ingests, key));
  }
#if defined(HANG)
  void quarantine_blob(const Call&, std::string_view) override {
    for (;;) ::pause();
  }
#endif
};

}  // namespace

IPCS_PLUGIN(FaultyStore, PLUGIN_NAME, "1.0", "the example with a fault")
