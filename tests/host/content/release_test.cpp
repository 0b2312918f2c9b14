// What a client holds whose socket is no longer configured, and dropping it.
#include "content/release.hpp"

#include "content/usage.hpp"
#include "host/content/world.hpp"

using namespace ipcs;
using namespace ipcs::test;
using oci::Digest;

namespace {

const content::Client kOld{"old"};

// An ingest that was left open.
void leave_ingest(World& w, const content::Client& client, const std::string& ref, std::string_view text) {
  w.content->open_writer(w.call, client, ref, 0, {}).write(w.call, bytes_of(text));
}

std::vector<std::string> former(World& w, const std::vector<std::string>& configured) {
  std::vector<std::string> names;
  for (const auto& [name, holds] : content::former_clients(w.call, *w.content, configured)) names.push_back(name);
  return names;
}

}  // namespace

TEST_CASE("former clients are those that hold something and are not configured") {
  World w;
  CHECK(former(w, {"a", "b"}).empty());
  w.put(w.a, "1");
  w.put(w.op, "22");
  w.put(kOld, "333");
  leave_ingest(w, w.op, "operator's", "x");
  leave_ingest(w, {"older"}, "ref", "4444");
  w.restart();
  w.recover();
  CHECK(former(w, {"a", "b"}) == std::vector<std::string>{"old", "older"});
  CHECK(former(w, {"a", "old", "older"}).empty());
  const auto clients = content::former_clients(w.call, *w.content, {"a"});
  CHECK(clients.at("old").claims.bytes == 3);
  CHECK(clients.at("old").ingests.count == 0);
  CHECK(clients.at("older").claims.count == 0);
  CHECK(clients.at("older").ingests.bytes == 4);
}

TEST_CASE("what a former client alone holds goes, what others hold stays") {
  World w;
  const Digest own = w.put(kOld, "own"), shared = w.put(kOld, "shared"), pinned = w.put(kOld, "pinned one");
  w.content->info(w.call, w.a, shared);
  w.content->pin(w.call, pinned, {});
  const Digest cut = w.put(kOld, "cut off"), lost = w.put(kOld, "lost");
  w.memory->put(cut.to_string(), bytes_of("cut"));
  w.memory->drop(lost.to_string());
  leave_ingest(w, kOld, "ref", "12345");
  leave_ingest(w, w.a, "ref", "a's");
  CHECK(w.read(own) == "own");  // open in the cache

  const content::Released released = content::release_client(w.call, *w.content, "old");
  CHECK(released.claims.count == 5);
  CHECK(released.claims.bytes == 3 + 6 + 10 + 7 + 4);
  CHECK(released.freed.count == 2);
  CHECK(released.freed.bytes == 3 + 3);  // as much as was there
  CHECK(released.ingests.count == 1);
  CHECK(released.ingests.bytes == 5);

  for (const Digest& digest : {own, cut, lost}) {
    CHECK_FALSE(w.memory->has(digest.to_string()));
    CHECK_FALSE(w.catalog->find_any({}, digest));
  }
  CHECK(code_of([&] { w.read(own); }) == Code::kNotFound);
  CHECK(w.listed(w.a) == names({shared}));
  CHECK(w.read(shared) == "shared");
  CHECK(w.catalog->pinned(pinned));
  CHECK(w.read(pinned) == "pinned one");
  CHECK(w.content->status(w.call, w.a, "ref").offset == 3);
  CHECK(w.memory->ingest_count() == 1);
  CHECK(w.catalog->clients() == std::vector<std::string>{"a"});
  CHECK(code_of([&] { content::release_client(w.call, *w.content, "old"); }) == Code::kNotFound);
}

TEST_CASE("more claims and ingests than a page") {
  World w;
  for (int i = 0; i < 600; ++i) w.put(i % 2 == 0 ? kOld : w.a, std::to_string(i));
  for (int i = 0; i < 300; ++i) leave_ingest(w, kOld, std::to_string(i), "x");
  const content::Released released = content::release_client(w.call, *w.content, "old");
  CHECK(released.claims.count == 300);
  CHECK(released.freed.count == 300);
  CHECK(released.ingests.count == 300);
  CHECK(w.listed(w.a).size() == 300);
  CHECK(w.memory->ingest_count() == 0);
}

TEST_CASE("an ingest without bytes in the backend goes too") {
  World w;
  w.catalog->put_ingest({"0123", "old", "ref", {}, 0, 1, 1});
  const content::Released released = content::release_client(w.call, *w.content, "old");
  CHECK(released.ingests.count == 1);
  CHECK(released.ingests.bytes == 0);
  CHECK(w.catalog->clients().empty());
}

TEST_CASE("what was interrupted goes on") {
  World w;
  for (int i = 0; i < 10; ++i) w.put(kOld, std::to_string(i));
  Call call;
  std::atomic<int> removed{0};
  w.memory->set_on_call([&](const char* function, const plugin::Call&) {
    if (std::string_view(function) == "remove_blob" && ++removed == 4) call.cancel();
  });
  CHECK(code_of([&] { content::release_client(call, *w.content, "old"); }) == Code::kCancelled);
  CHECK(w.catalog->list("old", {}, 100).size() == 6);
  w.restart();
  w.recover();
  CHECK(content::release_client(w.call, *w.content, "old").freed.count == 6);
  CHECK(w.listed(w.op).empty());
}

TEST_CASE("bytes that the backend keeps are not counted as freed, and are found at the next start") {
  World w;
  w.recover();
  const Digest digest = w.put(kOld, "blob");
  w.memory->fail_remove = true;
  const content::Released released = content::release_client(w.call, *w.content, "old");
  CHECK(released.claims.count == 1);
  CHECK(released.freed.count == 0);
  w.restart();
  CHECK(w.recover().adopted == 1);
  CHECK(w.listed(w.a) == names({digest}));
}

TEST_CASE("who can't be released") {
  World w;
  w.put(kOld, "1");
  w.put(w.op, "22");
  leave_ingest(w, w.op, "ref", "x");
  const auto code = [&](const std::string& name) {
    return code_of([&] { content::release_client(w.call, *w.content, name); });
  };
  CHECK(code("") == Code::kInvalidArgument);
  CHECK(code(content::kOperator) == Code::kInvalidArgument);
  CHECK(code("ol") == Code::kNotFound);
  {
    const std::lock_guard lock(w.memory->mutex);
    w.memory->read_only = true;
  }
  CHECK(code("old") == Code::kFailedPrecondition);
  CHECK(w.catalog->clients() == std::vector<std::string>{"old"});
  CHECK(w.content->list_statuses(w.call, w.op, content::Filter::parse({})).size() == 1);
}
