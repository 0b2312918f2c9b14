// A client of a registry that answers as a test says, with limits of tests.
#pragma once

#include <chrono>
#include <string>
#include <utility>

#include "host/oci/sample.hpp"
#include "host/oci/test_server.hpp"
#include "ipcs/error.hpp"
#include "oci/repository.hpp"

namespace ipcs::oci::test {

using std::chrono::milliseconds;

inline Call soon() {
  return Call::within(std::chrono::seconds(20));
}

inline RegistryOptions quick() {
  RegistryOptions options;
  options.retry.first = milliseconds(10);
  options.retry.longest = milliseconds(40);
  return options;
}

inline const std::string kBytes = noise(1'000'000, 5);
inline const Descriptor kBlob(std::string(kOciLayerGzip), Digest::of(kBytes), kBytes.size());
inline const std::string kManifest = manifest_text(Descriptor(std::string(kOciConfig), Digest::of("{}"), 2), {kBlob});
inline const std::string kManifestDigest = Digest::of(kManifest).to_string();
inline const std::string kManifestType = "Content-Type: " + std::string(kOciManifest);

// A client of a server that answers by `handler`.
struct Pair {
  explicit Pair(TestServer::Handler handler, RegistryOptions options = quick())
      : server(std::move(handler)), registry(server.host(), std::move(options)), repository(registry, "a/b") {}

  std::string read(uint64_t from = 0, const Call& call = soon()) {
    std::string got;
    repository.read(
        kBlob, from, [&](std::span<const uint8_t> piece) { got.append(piece.begin(), piece.end()); }, call);
    return got;
  }
  Code read_failure(std::string* message = nullptr, const Call& call = soon()) {
    return failure([&] { read(0, call); }, message);
  }
  Code manifest_failure(std::string* message = nullptr, const std::string& object = "v1", const Call& call = soon()) {
    return failure([&] { repository.manifest(object, call); }, message);
  }

  TestServer server;
  Registry registry;
  Repository repository;
};

}  // namespace ipcs::oci::test
