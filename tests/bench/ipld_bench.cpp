// Speed of plugins/ipld on one core, in memory: ipld_bench [MiB] prints GB per second of CPU time, the best of seven
// rounds.
#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <functional>

#include "ipld/dag_builder.hpp"

namespace {

using namespace ipcs::ipld;

constexpr int kRounds = 7;
constexpr size_t kPiece = 1 << 20;  // as bytes arrive

// Noise that no chunker finds regular.
Bytes noise(size_t size) {
  Bytes bytes(size);
  uint64_t state = 1;
  for (uint8_t& byte : bytes) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    byte = static_cast<uint8_t>(state >> 56);
  }
  return bytes;
}

// Of this thread: the machine may be busy with other things.
double cpu_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

void measure(const std::string& what, size_t bytes, const std::function<void()>& work) {
  double best = 1e9;
  for (int round = 0; round < kRounds; ++round) {
    const double start = cpu_seconds();
    work();
    best = std::min(best, cpu_seconds() - start);
  }
  fmt::print("{:<52} {:6.2f} GB/s\n", what, static_cast<double>(bytes) / best / 1e9);
}

void build(const Profile& profile, BytesView bytes, DagBuilder::Digest digest) {
  NoBlocks nowhere;
  DagBuilder builder(profile, nowhere, digest);
  for (BytesView rest = bytes; !rest.empty(); rest = rest.subspan(std::min(kPiece, rest.size())))
    builder.append(rest.first(std::min(kPiece, rest.size())));
  builder.finish();
  if (digest == DagBuilder::Digest::kSha256) builder.digest();
}

}  // namespace

int main(int argc, char** argv) {
  const size_t mib = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 256;
  if (mib == 0) {
    fmt::print(stderr, "usage: ipld_bench [MiB]\n");
    return 2;
  }
  const Bytes bytes = noise(mib << 20);
  fmt::print("{} MiB, SHA instructions: {}\n", mib, has_sha_instructions() ? "yes" : "no");
  measure("OpenSSL sha256, one stream", bytes.size(), [&] {
    unsigned char digest[EVP_MAX_MD_SIZE];
    ::EVP_Digest(bytes.data(), bytes.size(), digest, nullptr, ::EVP_sha256(), nullptr);
  });
  measure("Sha256, one stream", bytes.size(), [&] { Sha256::of(bytes); });
  for (const char* name : {"default", "cid-version=1", "unixfs-v1-2025"}) {
    measure(fmt::format("{}: CID", name), bytes.size(),
            [&] { build(named_profile(name), bytes, DagBuilder::Digest::kNo); });
    measure(fmt::format("{}: CID and digest, one pass", name), bytes.size(),
            [&] { build(named_profile(name), bytes, DagBuilder::Digest::kSha256); });
  }
  Profile by_content = named_profile("cid-version=1");
  by_content.chunker = "fastcdc-65536-262144-1048576";
  measure("fastcdc-65536-262144-1048576: CID and digest", bytes.size(),
          [&] { build(by_content, bytes, DagBuilder::Digest::kSha256); });
}
