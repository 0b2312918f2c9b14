// Random operations of many threads on few digests and refs: no promise breaks, whatever the order.
#include <random>

#include "host/content/world.hpp"

using namespace ipcs;
using namespace ipcs::test;
using oci::Digest;

namespace {

const std::vector<std::string> kTexts{"zero", "one one", "two two two", std::string(5000, '3')};
const std::vector<std::string> kRefs{"r0", "r1", "r2"};

// The codes that an operation may end with; anything else is thrown on.
template <class Body>
void expect_codes(std::initializer_list<Code> expected, Body&& body) {
  try {
    body();
  } catch (const Error& e) {
    if (std::find(expected.begin(), expected.end(), e.code()) == expected.end()) throw;
  }
}

class Worker {
 public:
  Worker(World& w, unsigned seed) : w_(w), random_(seed) {}

  void run(int rounds) {
    for (int i = 0; i < rounds; ++i) step();
  }

 private:
  template <class T>
  const T& any(const std::vector<T>& of) {
    return of[random_() % of.size()];
  }
  const content::Client& client() {
    const content::Client* all[] = {&w_.a, &w_.b, &w_.op};
    return *all[random_() % 3];
  }

  void write() {
    const std::string& text = any(kTexts);
    const std::string expected = random_() % 2 == 0 ? digest_of(text).to_string() : std::string();
    expect_codes({Code::kUnavailable, Code::kAlreadyExists, Code::kAborted, Code::kFailedPrecondition}, [&] {
      content::Writer writer = w_.content->open_writer(call_, client(), any(kRefs), 0, expected);
      if (writer.status().offset > 0 && random_() % 2 == 0) writer.truncate(call_);
      const Bytes bytes = bytes_of(text);
      writer.write(call_, std::span(bytes).first(bytes.size() / 2));
      if (random_() % 8 == 0) return;  // the stream breaks off
      writer.write(call_, std::span(bytes).subspan(bytes.size() / 2));
      writer.commit(call_, 0, digest_of(text).to_string(), nullptr);
    });
  }

  void read() {
    const std::string& text = any(kTexts);
    expect_codes({Code::kNotFound}, [&] {
      if (w_.text_of(*w_.content->open(call_, digest_of(text))) != text) throw std::logic_error("wrong bytes were read");
    });
  }

  void step() {
    const Digest digest = digest_of(any(kTexts));
    switch (random_() % 10) {
      case 0: case 1: case 2: write(); break;
      case 3: case 4: read(); break;
      case 5: expect_codes({Code::kNotFound}, [&] { w_.content->info(call_, client(), digest); }); break;
      case 6: w_.content->remove(call_, client(), digest); break;
      case 7: w_.content->abort(call_, client(), any(kRefs)); break;
      case 8:
        expect_codes({Code::kNotFound}, [&] { w_.content->status(call_, client(), any(kRefs)); });
        each_page(w_.content->list(client(), content::Filter::parse({})), [](auto) {});
        break;
      case 9:
        expect_codes({Code::kNotFound}, [&] {
          if (random_() % 2 == 0) {
            w_.content->pin(call_, digest, "n");
          } else {
            w_.content->unpin(call_, digest);
          }
        });
        break;
    }
  }

  World& w_;
  std::mt19937 random_;
  Call call_;
};

}  // namespace

TEST_CASE("eight threads at random keep every promise") {
  World w;
  w.recover();
  constexpr unsigned kSeed = 20'260'101;
  std::vector<std::string> failures(8);
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      try {
        Worker(w, kSeed + i).run(400);
      } catch (const std::exception& e) {
        failures[i] = e.what();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(failures == std::vector<std::string>(8));

  // A held blob has its bytes, and bytes that nobody holds are gone.
  Names held, stored;
  for (const std::string& digest : w.listed(w.op)) held.push_back(digest);
  for (const auto& [digest, blob] : w.memory->blobs) stored.push_back(digest);
  CHECK(held == stored);
  CHECK(w.catalog->pending_pins().empty());
  // Rows and ingests are the same ones, all closed.
  std::set<std::string> keys, kept;
  for (const auto& row : w.catalog->ingests({})) keys.insert(row.key);
  for (const auto& [key, ingest] : w.memory->ingests) {
    kept.insert(key);
    CHECK_FALSE(ingest.open);
  }
  CHECK(keys == kept);
  // Every ref is free.
  for (const content::Client* client : {&w.a, &w.b, &w.op}) {
    for (const std::string& ref : kRefs) CHECK_NOTHROW(w.content->open_writer(w.call, *client, ref, 0, {}));
  }
}

TEST_CASE("two commits of the same bytes at once: one makes the blob, both clients hold it") {
  World w;
  for (int round = 0; round < 50; ++round) {
    const std::string text = "round " + std::to_string(round);
    std::atomic<int> made{0}, existed{0};
    const auto commit = [&](const content::Client& client) {
      Call call;
      content::Writer writer = w.content->open_writer(call, client, "r", 0, {});
      writer.write(call, bytes_of(text));
      const Code code = code_of([&] { writer.commit(call, 0, {}, nullptr); });
      made += code == Code::kOk;
      existed += code == Code::kAlreadyExists;
    };
    std::thread other([&] { commit(w.b); });
    commit(w.a);
    other.join();
    REQUIRE(made == 1);
    REQUIRE(existed == 1);
    REQUIRE(w.catalog->claimants(digest_of(text)) == Names{"a", "b"});
  }
}

TEST_CASE("Info and the last Delete at once: a yes means a claim on bytes that are there") {
  World w;
  for (int round = 0; round < 100; ++round) {
    const Digest digest = w.put(w.a, "round " + std::to_string(round));
    std::thread remover([&] {
      Call call;
      w.content->remove(call, w.a, digest);
    });
    const Code code = w.info_code(w.b, digest);
    remover.join();
    REQUIRE((code == Code::kOk || code == Code::kNotFound));
    REQUIRE((code == Code::kOk) == w.memory->has(digest.to_string()));
    REQUIRE((code == Code::kOk) == (w.catalog->claimants(digest) == Names{"b"}));
  }
}
