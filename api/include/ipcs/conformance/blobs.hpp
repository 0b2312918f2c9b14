// Conformance of blobs: stat, open and read, list, remove, quarantine.
#pragma once

#include <atomic>
#include <chrono>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "ipcs/conformance/context.hpp"

namespace ipcs::conformance {
namespace blobs {

inline void reads_what_was_committed(Context& context) {
  for (const size_t size : {17u, 4095u, 4096u, 262'144u, 262'145u, 1'000'003u}) {
    const Bytes bytes = context.bytes(size);
    context.require_blob(context.put(bytes), bytes);
  }
}

// A backend that keeps DAGs must not take them for a file's root: dag-pb with UnixFS, one link to a block of 9 bytes.
inline void reads_a_root_as_bytes(Context& context) {
  const Bytes hash = context.bytes(32);
  Bytes root{0x12, 0x28, 0x0a, 0x22, 0x12, 0x20};
  root.insert(root.end(), hash.begin(), hash.end());
  for (const uint8_t byte : {0x12, 0x00, 0x18, 0x11, 0x0a, 0x06, 0x08, 0x02, 0x18, 0x09, 0x20, 0x09}) root.push_back(byte);
  context.require_blob(context.put(root), root);
}

inline void reads_any_range(Context& context) {
  const Bytes bytes = context.bytes(600'001);
  const BlobReader reader = context.store().open_blob(context.call(), context.put(bytes));
  for (const size_t offset : {0u, 1u, 262'143u, 262'144u, 524'288u, 600'000u}) {
    for (const size_t size : {0u, 1u, 100u, 4096u, 300'000u}) {
      Bytes piece(size + 8, 0x5a);
      const size_t count = reader.read_at(context.call(), offset, std::span(piece).first(size));
      require_equal(count, std::min(size, bytes.size() - offset), "bytes read at " + std::to_string(offset));
      require(std::equal(piece.begin(), piece.begin() + static_cast<ptrdiff_t>(count),
                         bytes.begin() + static_cast<ptrdiff_t>(offset)),
              "other bytes at " + std::to_string(offset));
      require(
          std::all_of(piece.begin() + static_cast<ptrdiff_t>(size), piece.end(), [](uint8_t b) { return b == 0x5a; }),
          "read_at wrote behind the memory that it was given");
    }
  }
  require(context.read(reader, 1009) == bytes, "other bytes when read in small pieces");
}

inline void reads_nothing_behind_the_end(Context& context) {
  const Bytes bytes = context.bytes(1000);
  const BlobReader reader = context.store().open_blob(context.call(), context.put(bytes));
  Bytes piece(100);
  for (const uint64_t offset : {uint64_t{1000}, uint64_t{1001}, uint64_t{1} << 40, uint64_t{INT64_MAX}, UINT64_MAX}) {
    require_equal(reader.read_at(context.call(), offset, piece), 0u, "bytes read at " + std::to_string(offset));
    require_equal(reader.read_cached(offset, piece), 0u, "bytes read from memory at " + std::to_string(offset));
  }
}

inline void reads_the_same_from_memory(Context& context) {
  const Bytes bytes = context.bytes(600'001);
  const BlobReader reader = context.store().open_blob(context.call(), context.put(bytes));
  require(context.read(reader, 65'536) == bytes, "other bytes read");
  size_t found = 0;
  for (const size_t offset : {0u, 1u, 262'143u, 262'144u, 524'288u, 600'000u}) {
    for (const size_t size : {0u, 1u, 100u, 4096u, 300'000u}) {
      Bytes piece(size + 8, 0x5a);
      const size_t count = reader.read_cached(offset, std::span(piece).first(size));
      require(count <= std::min(size, bytes.size() - offset), "more bytes from memory than there are");
      require(std::equal(piece.begin(), piece.begin() + static_cast<ptrdiff_t>(count),
                         bytes.begin() + static_cast<ptrdiff_t>(offset)),
              "other bytes from memory at " + std::to_string(offset));
      require(
          std::all_of(piece.begin() + static_cast<ptrdiff_t>(size), piece.end(), [](uint8_t b) { return b == 0x5a; }),
          "read_cached wrote behind the memory that it was given");
      found += count;
    }
  }
  if (found == 0) throw NotOffered("read_cached never gives any bytes");
}

inline void does_not_find_what_is_not_there(Context& context) {
  const std::string digest = context.unknown_digest();
  context.require_no_blob(digest);
  require(!context.store().remove_blob(context.call(), digest), "remove_blob of an unknown blob succeeds");
  require_equal(count_of(context.list(context.store().list_blobs(context.call())), digest), 0u, "listings of it");
}

inline void keeps_the_empty_blob(Context& context) {
  const std::string digest = context.digest({});
  const bool was_there = context.store().stat_blob(context.call(), digest).has_value();
  if (!was_there) {
    context.put({});
  }
  context.require_blob(digest, {});
}

inline void keeps_a_large_blob(Context& context) {
  const Bytes bytes = context.bytes(static_cast<size_t>(context.subject().quirks.large_blob));
  context.require_blob(context.put(bytes), bytes);
}

inline void knows_sha512(Context& context) {
  const Bytes bytes = context.bytes(2000);
  const std::string digest = context.put(bytes, "sha512");
  context.require_blob(digest, bytes);
  require_equal(count_of(context.list(context.store().list_blobs(context.call())), digest), 1u,
                "listings of a sha512 blob");
  context.require_no_blob(context.digest(bytes));
}

inline void removes(Context& context) {
  const Bytes bytes = context.bytes(3000);
  const std::string digest = context.put(bytes);
  const uint64_t used = context.store().info(context.call()).used_bytes;
  require(context.store().remove_blob(context.call(), digest), "remove_blob does not find the blob");
  context.require_no_blob(digest);
  require(!context.store().remove_blob(context.call(), digest), "a second remove_blob succeeds");
  require_equal(count_of(context.list(context.store().list_blobs(context.call())), digest), 0u,
                "listings of a removed blob");
  require(context.store().info(context.call()).used_bytes < used, "used_bytes does not shrink with a removed blob");
  context.put(bytes);
  context.require_blob(digest, bytes);
}

inline void reads_on_after_removal(Context& context) {
  const Bytes bytes = context.bytes(400'000);
  const std::string digest = context.put(bytes);
  const BlobReader reader = context.store().open_blob(context.call(), digest);
  Bytes piece(1000);
  reader.read_at(context.call(), 0, piece);
  context.store().remove_blob(context.call(), digest);
  require(context.read(reader) == bytes, "a reader gives other bytes after remove_blob");
}

inline void quarantines(Context& context) {
  if (!IPCS_HAS(context.store().ops(), quarantine_blob)) throw NotOffered("the plugin has no quarantine_blob");
  const Bytes bytes = context.bytes(3000);
  const std::string digest = context.put(bytes);
  for (int round = 0; round < 2; ++round) {  // the same blob may be damaged more than once
    require(context.store().quarantine_blob(context.call(), digest), "quarantine_blob does not find the blob");
    context.require_no_blob(digest);
    require_equal(count_of(context.list(context.store().list_blobs(context.call())), digest), 0u, "listings of it");
    require(!context.store().quarantine_blob(context.call(), digest), "a second quarantine_blob succeeds");
    context.put(bytes);
    context.require_blob(digest, bytes);
  }
}

inline void lists_each_blob_once(Context& context) {
  std::set<std::string> digests;
  for (int i = 0; i < 40; ++i) digests.insert(context.put(context.bytes(static_cast<size_t>(20 + i))));
  for (const size_t capacity : {1u, 7u, 256u}) {
    const auto entries = context.list(context.store().list_blobs(context.call()), capacity);
    for (const std::string& digest : digests)
      require_equal(count_of(entries, digest), 1u,
                    "listings of " + digest + ", " + std::to_string(capacity) + " at a time");
    for (const Entry& entry : entries) {
      if (!digests.contains(entry.name)) continue;
      const auto stat = context.store().stat_blob(context.call(), entry.name);
      require(stat && stat->name == entry.name && stat->size == entry.size && stat->modified_ns == entry.modified_ns,
              entry.name + ": the listing and stat_blob differ");
    }
  }
}

inline void lists_while_blobs_come_and_go(Context& context) {
  std::vector<std::string> staying;
  std::vector<std::string> leaving;
  std::vector<Bytes> leaving_bytes;
  for (int i = 0; i < 20; ++i) {
    staying.push_back(context.put(context.bytes(50)));
    leaving_bytes.push_back(context.bytes(50));
    leaving.push_back(context.put(leaving_bytes.back()));
  }
  size_t step = 0;
  const auto entries = context.list(context.store().list_blobs(context.call()), 2, [&] {
    const size_t i = step++;
    if (i >= leaving.size()) return;
    context.store().remove_blob(context.call(), leaving[i]);
    if (i % 2 == 0) context.put(leaving_bytes[i]);
    context.put(context.bytes(60));
  });
  for (const std::string& digest : staying) require_equal(count_of(entries, digest), 1u, "listings of " + digest);
}

inline void serves_many_readers(Context& context) {
  const Bytes bytes = context.bytes(500'000);
  const std::string digest = context.put(bytes);
  const BlobReader shared = context.store().open_blob(context.call(), digest);
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (size_t t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      try {
        for (int round = 0; round < 10; ++round) {
          if (context.read(shared, 4096 + t) != bytes) ++wrong;
          if (context.read(context.store().open_blob(context.call(), digest), 65'536) != bytes) ++wrong;
        }
      } catch (const std::exception&) {
        ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  require_equal(wrong.load(), 0, "reads that failed or gave other bytes with 8 threads");
}

inline void tells_plausible_times(Context& context) {
  const auto stat = context.store().stat_blob(context.call(), context.put(context.bytes(10)));
  require(stat.has_value(), "stat_blob does not find the blob");
  const int64_t now =
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  const int64_t minute = 60'000'000'000;
  for (const int64_t time : {stat->created_ns, stat->modified_ns})
    require(time == 0 || (time > now - 5 * minute && time < now + 5 * minute), "a time of a new blob is not now");
}

}  // namespace blobs

inline std::vector<Case> blob_cases() {
  using namespace blobs;
  return {{"blob: reads what was committed", reads_what_was_committed},
          {"blob: bytes that look like the root of a DAG come back as they are", reads_a_root_as_bytes},
          {"blob: any range can be read", reads_any_range},
          {"blob: nothing is read at or behind the end", reads_nothing_behind_the_end},
          {"blob: read_cached gives the same bytes", reads_the_same_from_memory},
          {"blob: an unknown one is not found", does_not_find_what_is_not_there},
          {"blob: the empty one", keeps_the_empty_blob},
          {"blob: a large one", keeps_a_large_blob},
          {"blob: sha512", knows_sha512},
          {"blob: times are plausible", tells_plausible_times},
          {"blob: many threads read at once", serves_many_readers},
          {"blob: removed", removes},
          {"blob: a reader goes on after remove_blob", reads_on_after_removal},
          {"blob: quarantined and healed", quarantines},
          {"list: each blob exactly once", lists_each_blob_once},
          {"list: while blobs come and go", lists_while_blobs_come_and_go}};
}

}  // namespace ipcs::conformance
