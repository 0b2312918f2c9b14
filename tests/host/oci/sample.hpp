// Blobs and images to move about, and a source and target in memory.
#pragma once

#include <map>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include "ipcs/error.hpp"
#include "oci/blobs.hpp"
#include "oci/media_type.hpp"

namespace ipcs::oci::test {

inline std::string noise(size_t size, unsigned seed) {
  std::mt19937_64 random(seed);
  std::string bytes(size, '\0');
  for (size_t i = 0; i < size; i += 8) {
    const uint64_t word = random();
    for (size_t k = 0; k < 8 && i + k < size; ++k) bytes[i + k] = static_cast<char>(word >> (8 * k));
  }
  return bytes;
}

// Blobs in memory, as source and as target. Remembers what was put in which order.
class Memory : public BlobSource, public BlobTarget {
 public:
  Descriptor add(std::string_view media_type, std::string bytes) {
    const Descriptor descriptor(std::string(media_type), Digest::of(bytes), bytes.size());
    blobs[descriptor.digest()] = std::move(bytes);
    return descriptor;
  }

  void read(const Descriptor& blob, uint64_t from, const Sink& sink, const Call& call) override {
    call.check();
    std::string bytes;
    {
      const std::lock_guard lock(mutex);
      const auto found = blobs.find(blob.digest());
      if (found == blobs.end()) throw Error(Code::kNotFound, "memory: no " + blob.digest().to_string());
      bytes = found->second;
      ++reads;
    }
    for (size_t at = from; at < bytes.size(); at += 100'000) {
      const std::string_view piece = std::string_view(bytes).substr(at, 100'000);
      sink({reinterpret_cast<const uint8_t*>(piece.data()), piece.size()});
    }
  }
  std::string name() const override { return "memory"; }
  bool has(const Descriptor& blob, const Call&) override {
    const std::lock_guard lock(mutex);
    return blobs.contains(blob.digest());
  }
  void put(const Descriptor& blob, BlobSource& source, const Call& call) override {
    std::string bytes = read_whole(source, blob, 1 << 30, call);
    const std::lock_guard lock(mutex);
    order.push_back(blob);
    blobs[blob.digest()] = std::move(bytes);
  }
  void tag(const Descriptor& root, const std::string&, const std::string& tag, const Call&) override {
    tags.emplace(tag, root);
  }

  std::mutex mutex;
  std::map<Digest, std::string> blobs;
  std::vector<Descriptor> order;
  std::map<std::string, Descriptor> tags;
  int reads = 0;
};

// The text of a manifest with the config and layers given.
inline std::string manifest_text(const Descriptor& config, const std::vector<Descriptor>& layers) {
  std::string text = R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":)" +
                     config.text() + R"(,"layers":[)";
  for (size_t i = 0; i < layers.size(); ++i) text += (i == 0 ? "" : ",") + layers[i].text();
  return text + "]}";
}

inline std::string index_text(const std::vector<std::string>& manifests) {
  std::string text = R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[)";
  for (size_t i = 0; i < manifests.size(); ++i) text += (i == 0 ? "" : ",") + manifests[i];
  return text + "]}";
}

// The text of a descriptor with a platform.
inline std::string with_platform(const Descriptor& descriptor, const std::string& platform) {
  std::string text = descriptor.text();
  text.pop_back();
  return text + ",\"platform\":" + platform + "}";
}

// An index of two images (amd64, arm64) that share a layer; sizes in bytes.
inline Descriptor add_image(Memory& memory, size_t layer_size = 100'000) {
  const Descriptor shared = memory.add(kOciLayerGzip, noise(layer_size, 1));
  std::vector<std::string> entries;
  for (const std::string architecture : {"amd64", "arm64"}) {
    const Descriptor own = memory.add(kOciLayerZstd, noise(5000, architecture == "amd64" ? 2 : 3));
    const Descriptor config = memory.add(kOciConfig, R"({"architecture":")" + architecture +
                                                         R"(","os":"linux","rootfs":{"type":"layers","diff_ids":[]}})");
    const Descriptor manifest = memory.add(kOciManifest, manifest_text(config, {shared, own}));
    entries.push_back(with_platform(manifest, R"({"architecture":")" + architecture + R"(","os":"linux"})"));
  }
  return memory.add(kOciIndex, index_text(entries));
}

// The code of the Error that `f` throws; kOk when it throws none. Its message goes to `message`.
template <typename F>
Code failure(const F& f, std::string* message = nullptr) {
  try {
    f();
  } catch (const Error& error) {
    if (message != nullptr) *message = error.what();
    return error.code();
  }
  return Code::kOk;
}

}  // namespace ipcs::oci::test
