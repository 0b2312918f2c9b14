// Conformance of the optional features (extensions.h): each case is for the backends that offer what it is about.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "ipcs/conformance/context.hpp"
#include "ipcs/store_extensions.hpp"

namespace ipcs::conformance {
namespace extensions {

// The feature, of which the backend may have none.
template <class Feature>
Feature of(Context& context, const char* id) {
  const auto feature = Feature::of(context.store());
  if (!feature) throw NotOffered(std::string("the backend has no ") + id);
  return *feature;
}

// More than one chunk of any usual layout, and an end that fills none.
inline Bytes several_chunks(Context& context) { return context.bytes((3 << 20) + 12'345); }

inline std::vector<BlockEntry> all_blocks(const Context& context, BlockCursor cursor, size_t capacity) {
  std::vector<BlockEntry> all;
  for (auto some = cursor.next(context.call(), capacity); !some.empty(); some = cursor.next(context.call(), capacity)) {
    all.insert(all.end(), some.begin(), some.end());
    require(all.size() < 100'000, "the walk over a blob's blocks has no end");
  }
  require(cursor.next(context.call(), capacity).empty(), "a walk that was over goes on");
  return all;
}

inline void locates(Context& context) {
  const auto locator = of<Locator>(context, IPCS_LOCATE_V1);
  const std::string digest = context.put(several_chunks(context));
  const auto cid = locator.cid_of(context.call(), digest);
  require(cid && !cid->empty(), "cid_of: a stored blob has no CID");
  require(locator.cid_of(context.call(), digest) == cid, "cid_of: another CID the second time");
  const std::string unknown = context.unknown_digest();
  require(!locator.cid_of(context.call(), unknown), "cid_of: finds a blob that is not there");
  const auto deadline = Call::Clock::now() + std::chrono::milliseconds(300);
  const Call soon(deadline);
  try {
    require(!locator.look_up(soon, unknown), "look_up: finds a blob that nobody has");
  } catch (const Error& error) {
    require(error.code() == Code::kDeadlineExceeded,
            std::string("look_up of what nobody has: ") + code_name(error.code()) + " (" + error.what() + ")");
  }
  require(Call::Clock::now() < deadline + std::chrono::seconds(5), "look_up: went on after its deadline");
  context.store().remove_blob(context.call(), digest);
  require(!locator.cid_of(context.call(), digest), "cid_of: finds a blob that was removed");
}

inline void lists_blocks(Context& context) {
  const auto lister = of<BlockLister>(context, IPCS_BLOCKS_V1);
  for (const Bytes& bytes : {several_chunks(context), context.bytes(100), Bytes()}) {
    const std::string digest = context.put(bytes);
    const std::string what = "blocks of " + std::to_string(bytes.size()) + " bytes: ";
    const auto blocks = all_blocks(context, lister.list_blocks(context.call(), digest), 256);
    require(!blocks.empty(), what + "there are none");
    require_equal(blocks.front().offset, uint64_t{0}, what + "offset of the root");
    require_equal(blocks.front().length, uint64_t{bytes.size()}, what + "bytes below the root");
    // Leaves are a blob's bytes in their order; a parent with bytes of its own is none of a UnixFS file's.
    uint64_t at = 0;
    for (const BlockEntry& block : blocks) {
      require(!block.cid.empty(), what + "one without a CID");
      require(block.size > 0 || bytes.empty(), what + "one of no bytes");
      require(block.offset + block.length <= bytes.size(), what + "one lies behind the end");
      require_equal(block.offset, at, what + "offset of a block");
      if (block.leaf) at += block.length;
    }
    require_equal(at, uint64_t{bytes.size()}, what + "bytes of all leaves");
    const auto again = all_blocks(context, lister.list_blocks(context.call(), digest), 1);
    require_equal(again.size(), blocks.size(), what + "how many come one by one");
    for (size_t i = 0; i < blocks.size(); ++i)
      require(again[i].cid == blocks[i].cid && again[i].offset == blocks[i].offset, what + "others come one by one");
    if (const auto locator = Locator::of(context.store()))
      require(locator->cid_of(context.call(), digest) == blocks.front().cid, what + "the first is not the root that cid_of tells");
  }
  require_error({Code::kNotFound}, "blocks of an unknown blob",
                [&] { lister.list_blocks(context.call(), context.unknown_digest()).next(context.call()); });
}

inline void adopts(Context& context) {
  const auto adopter = of<Adopter>(context, IPCS_ADOPT_V1);
  const Bytes bytes = several_chunks(context);
  const std::string digest = context.put(bytes);
  const Call& call = context.call();
  const Adopted adopted = adopter.adopt_blob(call, digest, "", "");
  context.remove_later(adopted.digest);
  require(adopted.digest != digest, "adopt_blob: a blob of several chunks has its own digest as p2p digest");
  require_equal(adopted.size, uint64_t{bytes.size()}, "adopt_blob: size");
  require(!adopted.cid.empty(), "adopt_blob: no CID");
  require(adopted.blocks != 1, "adopt_blob: one block for several chunks");
  context.require_blob(adopted.digest, bytes);
  require(adopter.adopt_blob(call, digest, "", "default").digest == adopted.digest, "adopt_blob: another digest the second time");
  const Adopted finer = adopter.adopt_blob(call, digest, "size-65536", "cid-version-1");
  context.remove_later(finer.digest);
  require(finer.digest != adopted.digest, "adopt_blob: chunker and profile make no difference");
  context.require_blob(finer.digest, bytes);

  require_error({Code::kInvalidArgument}, "adopt_blob with a bad chunker", [&] { adopter.adopt_blob(call, digest, "size-x", ""); });
  require_error({Code::kInvalidArgument}, "adopt_blob with a bad profile", [&] { adopter.adopt_blob(call, digest, "", "no-such"); });
  require_error({Code::kNotFound}, "adopt_blob of an unknown blob",
                [&] { adopter.adopt_blob(call, context.unknown_digest(), "", ""); });

  // What goes by several digests stays under the others when one is removed.
  context.store().remove_blob(call, digest);
  context.require_no_blob(digest);
  context.require_blob(adopted.digest, bytes);
  require_error({Code::kFailedPrecondition}, "adopt_cid with another size",
                [&] { adopter.adopt_cid(call, adopted.cid, digest, bytes.size() + 1); });
  require_error({Code::kFailedPrecondition}, "adopt_cid under another digest",
                [&] { adopter.adopt_cid(call, adopted.cid, context.unknown_digest(), 0); });
  require_error({Code::kInvalidArgument}, "adopt_cid of what is no CID", [&] { adopter.adopt_cid(call, "no CID", "", 0); });
  require(adopter.adopt_cid(call, adopted.cid, digest, bytes.size()).digest == digest, "adopt_cid: under another digest");
  context.require_blob(digest, bytes);
  require(adopter.adopt_cid(call, adopted.cid, "", 0).digest == adopted.digest, "adopt_cid: another p2p digest");
}

// The CAR of one root.
inline Bytes car_of(Context& context, const CarExchange& exchange, const std::string& root) {
  const std::vector<std::string> roots{root};
  CarExport car = exchange.open_export(context.call(), roots);
  Bytes all, piece(100'000);
  while (const size_t count = car.read(context.call(), piece)) all.insert(all.end(), piece.begin(), piece.begin() + static_cast<ptrdiff_t>(count));
  return all;
}

inline void exchanges_cars(Context& context) {
  const auto exchange = of<CarExchange>(context, IPCS_CAR_V1);
  const auto adopter = of<Adopter>(context, IPCS_ADOPT_V1);
  const Call& call = context.call();
  const Bytes bytes = several_chunks(context);
  const std::string digest = context.put(bytes);
  const Adopted adopted = adopter.adopt_blob(call, digest, "", "");
  context.remove_later(adopted.digest);
  const Bytes car = car_of(context, exchange, adopted.cid);
  require(car.size() > bytes.size(), "an export has fewer bytes than the blob");
  require(car_of(context, exchange, adopted.cid) == car, "an export has other bytes the second time");

  const auto feed = [&](const Bytes& stream) {
    CarImport import = exchange.open_import(call);
    for (size_t at = 0; at < stream.size(); at += 70'000)
      import.append(call, std::span(stream).subspan(at, std::min<size_t>(70'000, stream.size() - at)));
    return import.finish(call);
  };
  const auto roots = feed(car);
  require(roots == std::vector<std::string>{adopted.cid}, "an import tells other roots than were exported");
  Bytes cut(car.begin(), car.end() - 1000), damaged = car;
  damaged[damaged.size() - 1000] ^= 1;
  require_error({Code::kInvalidArgument}, "an import that is cut", [&] { feed(cut); });
  require_error({Code::kDataLoss}, "an import with a damaged block", [&] { feed(damaged); });
  require_error({Code::kInvalidArgument}, "an import of what is no CAR", [&] { feed(context.bytes(1000)); });

  if (context.subject().other_config_json.empty()) return;
  Store other = context.open_with(context.subject().other_config_json, 0);
  const auto there = CarExchange::of(other);
  const auto adopter_there = Adopter::of(other);
  require(there && adopter_there, "a second store offers less than the first");
  {
    CarImport import = there->open_import(call);
    import.append(call, car);
    for (const std::string& root : import.finish(call)) adopter_there->adopt_cid(call, root, "", bytes.size());
  }
  const BlobReader reader = other.open_blob(call, adopted.digest);
  require(context.read(reader) == bytes, "other bytes came with a CAR than were exported");
}

inline void prefetches(Context& context) {
  const auto prefetcher = of<Prefetcher>(context, IPCS_PREFETCH_V1);
  const Bytes bytes = several_chunks(context);
  const std::string digest = context.put(bytes);
  prefetcher.prefetch(context.call(), digest, 0, 0);
  prefetcher.prefetch(context.call(), digest, bytes.size() / 2, 1000);
  context.require_blob(digest, bytes);
  require_error({Code::kNotFound}, "prefetch of an unknown blob",
                [&] { prefetcher.prefetch(context.call(), context.unknown_digest(), 0, 0); });
}

}  // namespace extensions

inline std::vector<Case> extension_cases() {
  using namespace extensions;
  return {{"locate: the CID of a blob", locates},
          {"blocks: a blob's, in the order of its bytes", lists_blocks},
          {"adopt: more digests for bytes that are there", adopts},
          {"car: out and in again", exchanges_cars},
          {"prefetch: bytes are near afterwards", prefetches}};
}

}  // namespace ipcs::conformance
