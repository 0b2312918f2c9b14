// Conformance of ingests: open, append, truncate, resume, commit, discard, list.
#pragma once

#include <atomic>
#include <functional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "ipcs/conformance/context.hpp"

namespace ipcs::conformance {
namespace ingests {

inline void starts_empty(Context& context) {
  const std::string key = context.key();
  Ingest ingest = context.store().open_ingest(context.call(), key, true, 123'456'789);
  require_equal(ingest.size(), 0u, "size of a new ingest");
  require(context.read(ingest).empty(), "a new ingest gives bytes");
  ingest.append(context.call(), {});
  require_equal(ingest.size(), 0u, "size after an append of nothing");
}

inline void does_not_find_what_is_not_there(Context& context) {
  const std::string key = context.key();
  require_error({Code::kNotFound}, "open_ingest without IPCS_INGEST_CREATE",
                [&] { context.store().open_ingest(context.call(), key, false, 0); });
  require(!context.store().discard_ingest(context.call(), key), "discard_ingest of an unknown ingest succeeds");
  require_equal(count_of(context.list(context.store().list_ingests(context.call())), key), 0u, "listings of it");
}

inline void holds_what_was_appended(Context& context) {
  Ingest ingest = context.store().open_ingest(context.call(), context.key(), true, 0);
  Bytes all;
  for (const size_t size : {1u, 4096u, 100'000u, 3u, 262'144u}) {
    const Bytes more = context.bytes(size);
    ingest.append(context.call(), more);
    all.insert(all.end(), more.begin(), more.end());
    require_equal(ingest.size(), all.size(), "size after an append");
  }
  require(context.read(ingest, 10'007) == all, "an ingest gives other bytes than were appended");
  Bytes piece(10);
  for (const uint64_t offset : {uint64_t{all.size()}, uint64_t{all.size() + 1}, uint64_t{1} << 40, UINT64_MAX})
    require_equal(ingest.read_at(context.call(), offset, piece), 0u, "bytes read behind the end");
}

// Goes on with an ingest, after `between` did what is to be survived.
inline void resume(Context& context, const std::function<void()>& between) {
  const Bytes bytes = context.bytes(300'000);
  const auto half = std::span(bytes).first(150'000);
  const std::string key = context.key();
  context.ingest(key, half);
  between();
  Ingest ingest = context.store().open_ingest(context.call(), key, false, 0);
  require_equal(ingest.size(), half.size(), "size of a resumed ingest");
  require(context.read(ingest) == Bytes(half.begin(), half.end()), "a resumed ingest has other bytes");
  ingest.append(context.call(), std::span(bytes).subspan(half.size()));
  const std::string digest = context.digest(bytes);
  context.remove_later(digest);
  ingest.commit(context.call(), bytes.size(), digest, digest);
  context.require_blob(digest, bytes);
}
inline void resumes_after_close(Context& context) {
  resume(context, [] {});
}
inline void resumes_after_reopening(Context& context) {
  resume(context, [&] { context.reopen(); });
}

inline void truncates(Context& context) {
  const Bytes bytes = context.bytes(10'000);
  const std::string key = context.key();
  Ingest ingest = context.ingest(key, bytes);
  ingest.truncate(context.call(), bytes.size());
  require(context.read(ingest) == bytes, "truncate to the whole size changes bytes");
  ingest.truncate(context.call(), 4097);
  require(context.read(ingest) == Bytes(bytes.begin(), bytes.begin() + 4097), "truncate keeps other bytes");
  const auto end = std::span(bytes).subspan(4097);
  ingest.append(context.call(), end);
  require(context.read(ingest) == bytes, "append after truncate gives other bytes");
  ingest.truncate(context.call(), 0);
  require_equal(ingest.size(), 0u, "size after truncate to 0");
  ingest.append(context.call(), bytes);
  const std::string digest = context.digest(bytes);
  context.remove_later(digest);
  ingest.commit(context.call(), bytes.size(), digest, digest);
  context.require_blob(digest, bytes);
}

inline void does_not_grow_by_truncate(Context& context) {
  const Bytes bytes = context.bytes(1000);
  Ingest ingest = context.ingest(context.key(), bytes);
  require_error({Code::kOutOfRange, Code::kInvalidArgument, Code::kFailedPrecondition}, "truncate beyond the end",
                [&] { ingest.truncate(context.call(), 1001); });
  require(context.read(ingest) == bytes, "a refused truncate changes bytes");
}

inline void is_no_blob_before_commit(Context& context) {
  const Bytes bytes = context.bytes(1000);
  const std::string digest = context.digest(bytes);
  context.ingest(context.key(), bytes);
  context.require_no_blob(digest);
}

inline void is_gone_after_commit(Context& context) {
  const Bytes bytes = context.bytes(1000);
  const std::string digest = context.digest(bytes);
  const std::string key = context.key();
  context.remove_later(digest);
  context.ingest(key, bytes).commit(context.call(), bytes.size(), digest, digest);
  require_error({Code::kNotFound}, "open_ingest after commit",
                [&] { context.store().open_ingest(context.call(), key, false, 0); });
  require_equal(count_of(context.list(context.store().list_ingests(context.call())), key), 0u, "listings after commit");
  require_equal(context.store().open_ingest(context.call(), key, true, 0).size(), 0u,
                "size of an ingest under a used key");
}

// A commit that is refused leaves the ingest, and the right one works afterwards.
inline void refuse(Context& context, const std::string& what, uint64_t size, const std::string& named) {
  const Bytes bytes = context.bytes(5000);
  const std::string digest = context.digest(bytes);
  const std::string key = context.key();
  context.remove_later(digest);
  {
    Ingest ingest = context.ingest(key, bytes);
    require_error({Code::kFailedPrecondition}, what,
                  [&] { ingest.commit(context.call(), size, named.empty() ? digest : named, digest); });
    context.require_no_blob(named.empty() ? digest : named);
    require_equal(ingest.size(), bytes.size(), what + ": size afterwards");
    require(context.read(ingest) == bytes, what + ": the ingest has other bytes afterwards");
  }
  Ingest again = context.store().open_ingest(context.call(), key, false, 0);
  again.commit(context.call(), bytes.size(), digest, digest);
  context.require_blob(digest, bytes);
}
inline void refuses_a_wrong_size(Context& context) {
  refuse(context, "commit with too small a size", 4999, "");
  refuse(context, "commit with too large a size", 5001, "");
}
inline void refuses_a_wrong_digest(Context& context) {
  refuse(context, "commit under a digest of other bytes", 5000, context.unknown_digest());
}

inline void says_that_the_blob_exists(Context& context) {
  const Bytes bytes = context.bytes(5000);
  const std::string digest = context.put(bytes);
  const uint64_t used = context.store().info(context.call()).used_bytes;
  const std::string key = context.key();
  {
    Ingest ingest = context.ingest(key, bytes);
    require_error({Code::kAlreadyExists}, "commit of a blob that exists",
                  [&] { ingest.commit(context.call(), bytes.size(), digest, digest); });
  }
  require_error({Code::kNotFound}, "open_ingest after ALREADY_EXISTS",
                [&] { context.store().open_ingest(context.call(), key, false, 0); });
  context.require_blob(digest, bytes);
  require_equal(context.store().info(context.call()).used_bytes, used, "used_bytes after ALREADY_EXISTS");
}

inline void is_discarded(Context& context) {
  const std::string key = context.key();
  context.ingest(key, context.bytes(1000));
  require(context.store().discard_ingest(context.call(), key), "discard_ingest does not find the ingest");
  require(!context.store().discard_ingest(context.call(), key), "a second discard_ingest succeeds");
  require_error({Code::kNotFound}, "open_ingest after discard_ingest",
                [&] { context.store().open_ingest(context.call(), key, false, 0); });
  require_equal(context.store().open_ingest(context.call(), key, true, 0).size(), 0u, "size of an ingest made anew");
}

inline void is_listed(Context& context) {
  std::vector<std::string> keys;
  for (size_t i = 0; i < 12; ++i) {
    keys.push_back(context.key());
    context.ingest(keys.back(), context.bytes(100 + i));
  }
  for (const size_t capacity : {1u, 5u, 256u}) {
    const auto entries = context.list(context.store().list_ingests(context.call()), capacity);
    for (size_t i = 0; i < keys.size(); ++i) {
      require_equal(count_of(entries, keys[i]), 1u, "listings of the ingest " + keys[i]);
      const auto entry =
          std::find_if(entries.begin(), entries.end(), [&](const Entry& e) { return e.name == keys[i]; });
      require_equal(entry->size, 100 + i, "listed size of the ingest " + keys[i]);
    }
  }
}

inline void takes_any_key(Context& context) {
  for (const std::string& key :
       {std::string("0"), std::string("-"), std::string(IPCS_KEY_MAX, 'z'), std::string("a--9")}) {
    bool there = true;  // a store with other ingests may have it
    try {
      context.store().open_ingest(context.call(), key, false, 0);
    } catch (const Error& error) {
      if (error.code() != Code::kNotFound) throw;
      there = false;
    }
    if (there) continue;
    const Bytes bytes = context.bytes(100);
    context.ingest(key, bytes);
    const auto listed = count_of(context.list(context.store().list_ingests(context.call())), key);
    require(context.store().discard_ingest(context.call(), key), "the ingest \"" + key + "\" is lost");
    require_equal(listed, 1u, "listings of the ingest \"" + key + "\"");
  }
}

inline void many_are_open_at_once(Context& context) {
  const size_t count = context.subject().quirks.many_ingests;
  std::vector<Ingest> open;
  std::vector<Bytes> contents;
  for (size_t i = 0; i < count; ++i) {
    contents.push_back(context.bytes(64));
    open.push_back(context.ingest(context.key(), contents.back()));
  }
  for (size_t i = 0; i < count; ++i) {
    require(context.read(open[i]) == contents[i], "one of many open ingests has other bytes");
    const std::string digest = context.digest(contents[i]);
    context.remove_later(digest);
    open[i].commit(context.call(), contents[i].size(), digest, digest);
  }
  for (const Bytes& bytes : contents) context.require_blob(context.digest(bytes), bytes);
}

// Runs `body(thread number)` on `count` threads; fails with the first thing that went wrong.
inline void on_threads(size_t count, const std::function<void(size_t)>& body) {
  std::vector<std::string> failures(count);
  std::vector<std::thread> threads;
  for (size_t t = 0; t < count; ++t) {
    threads.emplace_back([&, t] {
      try {
        body(t);
      } catch (const std::exception& failure) {
        failures[t] = failure.what();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& failure : failures) require(failure.empty(), "on one of several threads: " + failure);
}

inline void many_threads_commit(Context& context) {
  on_threads(8, [&](size_t) {
    for (int i = 0; i < 8; ++i) {
      const Bytes bytes = context.bytes(3000);
      context.require_blob(context.put(bytes), bytes);
    }
  });
}

inline void one_of_many_commits_wins(Context& context) {
  for (int round = 0; round < 5; ++round) {
    const Bytes bytes = context.bytes(20'000);
    const std::string digest = context.digest(bytes);
    context.remove_later(digest);
    std::atomic<int> won{0};
    on_threads(8, [&](size_t) {
      Ingest ingest = context.ingest(context.key(), bytes);
      try {
        ingest.commit(context.call(), bytes.size(), digest, digest);
        ++won;
      } catch (const Error& error) {
        if (error.code() != Code::kAlreadyExists) throw;
      }
      context.require_blob(digest, bytes);  // visible to whoever has its answer
    });
    require_equal(won.load(), 1, "commits that succeeded, of 8 of the same blob");
  }
}

}  // namespace ingests

inline std::vector<Case> ingest_cases() {
  using namespace ingests;
  return {{"ingest: starts empty", starts_empty},
          {"ingest: an unknown one is not found", does_not_find_what_is_not_there},
          {"ingest: holds what was appended", holds_what_was_appended},
          {"ingest: resumed after close", resumes_after_close},
          {"ingest: resumed after reopening the store", resumes_after_reopening},
          {"ingest: truncated", truncates},
          {"ingest: truncate never lengthens", does_not_grow_by_truncate},
          {"ingest: no blob before commit", is_no_blob_before_commit},
          {"ingest: gone after commit", is_gone_after_commit},
          {"ingest: discarded", is_discarded},
          {"ingest: listed exactly once", is_listed},
          {"ingest: any key", takes_any_key},
          {"ingest: many open at once", many_are_open_at_once},
          {"commit: a wrong size is refused", refuses_a_wrong_size},
          {"commit: a wrong digest is refused", refuses_a_wrong_digest},
          {"commit: ALREADY_EXISTS and the ingest is gone", says_that_the_blob_exists},
          {"commit: on many threads", many_threads_commit},
          {"commit: one of many of the same blob wins", one_of_many_commits_wins}};
}

}  // namespace ipcs::conformance
