// The plugin on a real Kubo, and short words for what tests do with it.
#pragma once

#include <optional>
#include <random>

#include "digest_text.hpp"
#include "ipcs/store_extensions.hpp"
#include "ipld/car.hpp"
#include "ipld/dag_builder.hpp"
#include "kubo/rpc.hpp"
#include "running_kubo.hpp"

namespace ipcs::ipfs_http::test {

using Bytes = std::vector<uint8_t>;
using namespace std::chrono_literals;

inline Bytes some_bytes(size_t size, uint32_t seed) {
  std::mt19937_64 random(seed);
  Bytes bytes(size);
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<uint8_t>(random());
  return bytes;
}
inline std::string digest_of(std::span<const uint8_t> bytes) { return oci::Digest::of(bytes).to_string(); }

// The blocks of a file, in memory.
struct Dag {
  ipld::MemoryBlockstore blocks;
  std::vector<std::pair<ipld::Cid, Bytes>> order;
  ipld::Cid root;
  explicit Dag(std::span<const uint8_t> bytes, const ipld::Profile& profile = {}) : root(build(bytes, profile)) {}
  std::string p2p() const { return *p2p_digest(root); }
  Bytes car() {
    Bytes out;
    ipld::CarWriter writer([&](ipld::BytesView piece) { out.insert(out.end(), piece.begin(), piece.end()); }, {&root, 1});
    for (const auto& [cid, data] : order) writer.put(cid, data);
    return out;
  }

 private:
  ipld::Cid build(std::span<const uint8_t> bytes, const ipld::Profile& profile) {
    ipld::BlockCallback sink([this](const ipld::Cid& cid, ipld::BytesView data) {
      blocks.put(cid, data);
      order.emplace_back(cid, Bytes(data.begin(), data.end()));
    });
    ipld::DagBuilder builder(profile, sink);
    builder.append(bytes);
    return builder.finish().cid;
  }
};

inline Error error_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error;
  }
  return Error(Code::kOk, "it succeeded");
}

// A store under a prefix of its own. One thread.
class World {
 public:
  // `through`: the address that the store is given, where it is not Kubo's own.
  explicit World(RunningKubo& on = shared_kubo(), const std::string& through = "")
      : kubo(on), api(through.empty() ? on.address() : through), rpc({kubo::parse_address(on.address()), "", 20s}) {
    static int number = 0;
    prefix = "/world-" + std::to_string(++number);
    open();
  }

  std::string config(const std::string& state = "state") const {
    return "{\"state\":\"" + (directory.path() / state).string() + "\",\"prefix\":\"" + prefix + "\",\"timeout\":\"5s\",\"api\":\"" +
           api + "\"}";
  }
  void open(uint32_t flags = 0, const std::string& state = "state") {
    store.reset();
    const ipcs_plugin* plugin = ipcs::test::load_plugin(IPCS_PLUGIN_DIR "/ipfs-http.so");
    ipcs_status status{};
    ipcs_store* raw = nullptr;
    const std::string json = config(state);
    detail::check(plugin->open(host.table(), call.abi(), to_abi(json), flags, &raw, &status), status);
    store.emplace(plugin, raw, nullptr);
  }
  Ingest ingest(const Bytes& bytes, const std::string& key = "key") {
    Ingest made = store->open_ingest(call, key, true, bytes.size());
    for (size_t done = 0; done < bytes.size(); done += 1 << 20)
      made.append(call, std::span(bytes).subspan(done, std::min<size_t>(1 << 20, bytes.size() - done)));
    return made;
  }
  std::string put(const Bytes& bytes) {
    const std::string digest = digest_of(bytes);
    ingest(bytes).commit(call, bytes.size(), digest, digest);
    return digest;
  }
  void put_as(const Bytes& bytes, const std::string& digest) {
    ingest(bytes).commit(call, bytes.size(), digest, digest_of(bytes));
  }
  Bytes read(const std::string& digest) {
    const BlobReader reader = store->open_blob(call, digest);
    Bytes bytes(reader.size());
    size_t done = 0;
    while (done < bytes.size()) {
      const size_t count = reader.read_at(call, done, std::span(bytes).subspan(done));
      if (count == 0) break;
      done += count;
    }
    bytes.resize(done);
    return bytes;
  }
  void give_to_kubo(Dag& dag) { rpc.dag_import(own.call(), {dag.car()}, false); }
  void collect_garbage() { CHECK(kubo.run({"repo", "gc", "-q"}) == 0); }
  std::string path(const std::string& digest) const {
    return prefix + "/blobs/sha256/" + digest.substr(7, 2) + "/" + digest.substr(7);
  }
  // Waits for what the backend does by itself.
  bool eventually(const std::function<bool()>& condition) const {
    const auto end = std::chrono::steady_clock::now() + 20s;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > end) return false;
      std::this_thread::sleep_for(50ms);
    }
    return true;
  }

  RunningKubo& kubo;
  const std::string api;
  kubo::Rpc rpc;
  kubo::OwnCall own;
  TemporaryDirectory directory;
  conformance::QuietHost host{""};
  std::string prefix;
  Call call;
  std::optional<Store> store;
};

}  // namespace ipcs::ipfs_http::test
