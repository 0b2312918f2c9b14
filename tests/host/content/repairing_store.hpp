// A store in memory that says of itself what ipcs.repair/1 finds.
#pragma once

#include "host/content/world.hpp"
#include "ipcs/plugin_extensions.hpp"

namespace ipcs::test {

class RepairingStore : public memory::Store, public plugin::Repairer {
 public:
  using memory::Store::Store;
  const void* extension(std::string_view id) noexcept override {
    return id == IPCS_REPAIR_V1 ? plugin::extension_of<RepairingStore>(id) : memory::Store::extension(id);
  }
  plugin::Repaired repair(const plugin::Call& call, bool dry_run, const plugin::RepairSink& sink) override {
    sink.progress({1, 2, 30, 40, "sha256:current"});
    for (const std::string& guard : guards()) {
      memory_->enter("repair", call);
      sink.progress({1, 2, 30, 40, ""});
      sink.found({IPCS_DIFFERENCE_LEAKED, guard, "a pin", !dry_run});
    }
    sink.progress({2, 2, 40, 40, ""});
    return {memory_->blobs.size(), 40, 1, 2};
  }

  // What it finds. The daemon's threads look at it, and nothing that a sanitizer sees comes between a test and them.
  static void set_guards(std::vector<std::string> names) {
    const std::lock_guard lock(mutex_);
    guards_ = std::move(names);
  }

 private:
  static std::vector<std::string> guards() {
    const std::lock_guard lock(mutex_);
    return guards_;
  }
  static inline std::mutex mutex_;
  static inline std::vector<std::string> guards_;
};

// A world on such a store.
inline void make_repairing(World& world) {
  RepairingStore::set_guards({});
  world.content.reset();
  world.store = std::make_unique<Store>(open_memory_store<RepairingStore>(world.memory));
  world.start();
}

}  // namespace ipcs::test
