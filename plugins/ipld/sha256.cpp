// SHA-256: blocks, padding, and the choice of the compression function.
#define OPENSSL_SUPPRESS_DEPRECATED  // the low-level functions advance a state without memory of their own
#include "ipld/sha256.hpp"

#include <openssl/sha.h>

#include <algorithm>
#include <cstring>

#include "ipld/sha256_blocks.hpp"

namespace ipcs::ipld {
namespace {

constexpr size_t kBlock = 64;

void compress_openssl(Sha256State& state, const uint8_t* bytes, size_t blocks) noexcept {
  SHA256_CTX context;
  ::SHA256_Init(&context);
  std::copy(state.begin(), state.end(), context.h);
  ::SHA256_Update(&context, bytes, blocks * kBlock);  // whole blocks: nothing stays in the context's buffer
  std::copy(context.h, context.h + state.size(), state.begin());
}

void compress_two_openssl(Sha256State& a, const uint8_t* a_bytes, Sha256State& b, const uint8_t* b_bytes,
                          size_t blocks) noexcept {
  compress_openssl(a, a_bytes, blocks);
  compress_openssl(b, b_bytes, blocks);
}

const Compression& compression() noexcept {
  static const Compression kChosen = has_sha_instructions() ? sha_instructions() : openssl_compression();
  return kChosen;
}

}  // namespace

Compression openssl_compression() noexcept {
  return {compress_openssl, compress_two_openssl};
}

std::vector<Compression> all_compressions() {
  std::vector<Compression> all;
  for (const Compression& each : {openssl_compression(), sha_instructions()}) {
    if (each.one != nullptr) all.push_back(each);
  }
  return all;
}

bool has_sha_instructions() noexcept {
  return sha_instructions().one != nullptr;
}

BytesView Sha256::fill(BytesView bytes) noexcept {
  const size_t held = size_ % kBlock;
  if (held == 0) return bytes;
  const size_t taken = std::min(bytes.size(), kBlock - held);
  std::copy_n(bytes.begin(), taken, pending_.begin() + held);
  size_ += taken;
  if (held + taken == kBlock) compression().one(state_, pending_.data(), 1);
  return bytes.subspan(taken);
}

void Sha256::keep(BytesView rest) noexcept {
  std::copy(rest.begin(), rest.end(), pending_.begin());
  size_ += rest.size();
}

void Sha256::update(BytesView bytes) noexcept {
  bytes = fill(bytes);
  const size_t blocks = bytes.size() / kBlock;
  if (blocks > 0) compression().one(state_, bytes.data(), blocks);
  size_ += blocks * kBlock;
  if (const BytesView rest = bytes.subspan(blocks * kBlock); !rest.empty()) keep(rest);
}

void Sha256::update_two(Sha256& a, BytesView a_bytes, Sha256& b, BytesView b_bytes) noexcept {
  a_bytes = a.fill(a_bytes);
  b_bytes = b.fill(b_bytes);
  const size_t blocks = std::min(a_bytes.size(), b_bytes.size()) / kBlock;
  if (blocks > 0) {
    compression().two(a.state_, a_bytes.data(), b.state_, b_bytes.data(), blocks);
    a.size_ += blocks * kBlock;
    b.size_ += blocks * kBlock;
  }
  a.update(a_bytes.subspan(blocks * kBlock));
  b.update(b_bytes.subspan(blocks * kBlock));
}

Sha256Digest Sha256::digest() const noexcept {
  Sha256State state = state_;
  const size_t held = size_ % kBlock;
  std::array<uint8_t, 2 * kBlock> last{};
  std::copy_n(pending_.begin(), held, last.begin());
  last[held] = 0x80;
  const size_t blocks = held + 9 <= kBlock ? 1 : 2;
  for (size_t i = 0; i < 8; ++i) last[blocks * kBlock - 1 - i] = static_cast<uint8_t>(size_ * 8 >> (8 * i));
  compression().one(state, last.data(), blocks);

  Sha256Digest digest;
  for (size_t i = 0; i < digest.size(); ++i) digest[i] = static_cast<uint8_t>(state[i / 4] >> (8 * (3 - i % 4)));
  return digest;
}

Sha256Digest Sha256::of(BytesView bytes) noexcept {
  Sha256 hash;
  hash.update(bytes);
  return hash.digest();
}

}  // namespace ipcs::ipld
