// Listings, labels and updates.
#include "content/limits.hpp"
#include "host/content/world.hpp"

using namespace ipcs;
using namespace ipcs::test;
using content::Filter;
using content::Labels;
using oci::Digest;

namespace {

Filter all() { return Filter::parse({}); }
Filter filter(const std::string& text) { return Filter::parse(std::vector{text}); }

}  // namespace

TEST_CASE("a listing has pages of at most 100 and each blob once, whatever is deleted between them") {
  World w;
  std::set<std::string> put;
  for (int i = 0; i < 250; ++i) put.insert(w.put(w.a, "blob " + std::to_string(i)).to_string());
  w.put(w.b, "not a's");
  std::vector<size_t> pages;
  std::set<std::string> seen;
  bool delete_all = false;
  SECTION("nothing is deleted") {}
  SECTION("everything that was seen is deleted") { delete_all = true; }
  each_page(w.content->list(w.a, all()), [&](std::span<const content::Blob> page) {
    pages.push_back(page.size());
    for (const content::Blob& blob : page) {
      CHECK(seen.insert(blob.digest.to_string()).second);
      if (delete_all) w.content->remove(w.call, w.a, blob.digest);
    }
  });
  CHECK(pages == std::vector<size_t>{100, 100, 50});
  CHECK(seen == put);
  CHECK(w.listed(w.a).size() == (delete_all ? 0u : 250u));
}

TEST_CASE("blobs that are deleted before their page comes are not listed") {
  World w;
  for (int i = 0; i < 150; ++i) w.put(w.a, "blob " + std::to_string(i));
  const Names everything = w.listed(w.a);
  size_t seen = 0;
  each_page(w.content->list(w.a, all()), [&](std::span<const content::Blob> page) {
    if (seen == 0) {
      for (size_t i = 100; i < 150; ++i) w.content->remove(w.call, w.a, Digest::parse(everything[i]));
    }
    seen += page.size();
  });
  CHECK(seen == 100);
}

TEST_CASE("a filter that few blobs match still gives full pages") {
  World w;
  const Labels even{{"parity", "even"}}, odd{{"parity", "odd"}};
  for (int i = 0; i < 220; ++i) w.put(w.a, "n" + std::to_string(i), i % 2 == 0 ? &even : &odd);
  std::vector<size_t> pages;
  each_page(w.content->list(w.a, filter("labels.parity==even")), [&](auto page) { pages.push_back(page.size()); });
  CHECK(pages == std::vector<size_t>{100, 10});
}

TEST_CASE("a listing that is given up leaves no lock") {
  World w;
  const Digest digest = w.put(w.a, "x");
  content::Listing listing = w.content->list(w.a, all());
  CHECK(listing.next(w.call).size() == 1);
  w.content->remove(w.call, w.a, digest);
  CHECK(w.listed(w.a).empty());
  CHECK(listing.next(w.call).empty());
}

TEST_CASE("a listing that nobody waits for any more ends") {
  World w;
  w.put(w.a, "x");
  content::Listing listing = w.content->list(w.a, filter("labels.none==1"));
  Call gone;
  gone.cancel();
  CHECK(code_of([&] { listing.next(gone); }) == Code::kCancelled);
}

TEST_CASE("labels have limits, at a commit and at an update, and the rest stays as it was") {
  World w;
  const Digest digest = w.put(w.a, "x");
  const auto update = [&](const Labels& labels, const std::vector<std::string>& paths) {
    return code_of([&] { w.content->update(w.call, w.a, digest, labels, paths); });
  };
  const std::string key = "k", longest(content::kMaxLabel - 1, 'v');
  CHECK(update({{key, longest}}, {"labels.k"}) == Code::kOk);
  CHECK(update({{key, longest + "v"}}, {"labels.k"}) == Code::kInvalidArgument);
  CHECK(w.content->info(w.call, w.a, digest).labels == Labels{{key, longest}});
  Labels many;
  for (int i = 0; i < 252; ++i) many["key-" + std::to_string(1000 + i)] = std::string(4088, 'v');
  CHECK(update(many, {"labels"}) == Code::kOk);
  for (int i = 0; i < 8; ++i) update({{"more" + std::to_string(i), std::string(4000, 'v')}}, {"labels.more" + std::to_string(i)});
  CHECK(update({{"last", longest.substr(9)}}, {"labels.last"}) == Code::kInvalidArgument);
  CHECK(update({}, {"labels.key-1000"}) == Code::kOk);
  CHECK(update({{"last", "v"}}, {"labels.last"}) == Code::kOk);

  content::WriteSession session(*w.content, w.a);
  const Labels too_long{{key, longest + "v"}};
  content::WriteMessage commit;
  commit.action = content::WriteAction::kCommit;
  commit.ref = "r";
  commit.labels = &too_long;
  CHECK(code_of([&] { session.on_message(w.call, commit); }) == Code::kInvalidArgument);
  CHECK(w.content->list_statuses(w.call, w.a, all()).empty());
}

TEST_CASE("blobs with very many labels come in smaller pages, which all fit into a message") {
  World w;
  Labels many;
  for (int i = 0; i < 250; ++i) many["key-" + std::to_string(i)] = std::string(4000, 'v');
  for (int i = 0; i < 12; ++i) w.put(w.a, "n" + std::to_string(i), &many);
  std::vector<size_t> pages;
  each_page(w.content->list(w.a, all()), [&](auto page) { pages.push_back(page.size()); });
  CHECK(pages == std::vector<size_t>{5, 5, 2});
}

TEST_CASE("a ref has a limit, and a list of ingests fits into a message") {
  World w;
  const auto open = [&](const std::string& ref) {
    return code_of([&] { w.content->open_writer(w.call, w.a, ref, 0, {}); });
  };
  CHECK(open(std::string(content::kMaxRef + 1, 'r')) == Code::kInvalidArgument);
  const int count = static_cast<int>(content::kStatusesBytes / content::kMaxRef) + 10;
  for (int i = 0; i < count; ++i) {
    const std::string number = std::to_string(10000 + i);
    REQUIRE(open(number + std::string(content::kMaxRef - number.size(), 'r')) == Code::kOk);
  }
  const auto listed = w.content->list_statuses(w.call, w.a, all());
  CHECK(listed.size() < static_cast<size_t>(count));
  CHECK(listed.size() > static_cast<size_t>(count) * 9 / 10);
  CHECK(listed.front().ref.starts_with("10000"));  // the oldest are there
  w.content->abort(w.call, w.a, listed.front().ref);
  CHECK(w.content->list_statuses(w.call, w.a, all()).front().ref.starts_with("10001"));
}

TEST_CASE("labels belong to one client and go with its claim") {
  World w;
  const Labels labels{{"k", "v"}, {"empty", ""}};
  const Digest digest = w.put(w.a, "x", &labels);
  CHECK(w.content->info(w.call, w.a, digest).labels == Labels{{"k", "v"}});
  CHECK(w.content->info(w.call, w.b, digest).labels.empty());
  CHECK(w.content->info(w.call, w.op, digest).labels.empty());
  w.content->update(w.call, w.b, digest, {{"k", "b's"}}, {});
  CHECK(w.content->info(w.call, w.a, digest).labels == Labels{{"k", "v"}});
  CHECK(w.content->info(w.call, w.b, digest).labels == Labels{{"k", "b's"}});

  w.content->remove(w.call, w.a, digest);
  SECTION("the bytes stay: Info claims anew") {
    CHECK(w.content->info(w.call, w.a, digest).labels.empty());
  }
  SECTION("the bytes go and are written again") {
    w.content->remove(w.call, w.b, digest);
    REQUIRE_FALSE(w.memory->has(digest.to_string()));
    w.put(w.a, "x");
    CHECK(w.content->info(w.call, w.a, digest).labels.empty());
    CHECK(w.content->info(w.call, w.b, digest).labels.empty());
  }
}

TEST_CASE("AlreadyExists at a commit leaves the labels alone") {
  World w;
  const Labels first{{"first", "1"}}, second{{"second", "2"}};
  const Digest digest = w.put(w.a, "x", &first);
  CHECK(code_of([&] { w.put(w.a, "x", &second); }) == Code::kAlreadyExists);
  CHECK(w.content->info(w.call, w.a, digest).labels == first);
}

TEST_CASE("update changes what the paths name") {
  World w;
  const Labels before{{"keep", "1"}, {"drop", "2"}};
  const Digest digest = w.put(w.a, "x", &before);
  const auto update = [&](const Labels& labels, std::vector<std::string> paths) {
    return w.content->update(w.call, w.a, digest, labels, paths).labels;
  };
  CHECK(update({{"new", "3"}, {"other", "4"}}, {"labels.new"}) == Labels{{"keep", "1"}, {"drop", "2"}, {"new", "3"}});
  CHECK(update({}, {"labels.drop"}) == Labels{{"keep", "1"}, {"new", "3"}});
  CHECK(update({{"keep", ""}}, {"labels.keep"}) == Labels{{"new", "3"}});
  CHECK(update({{"a.b/c", "5"}}, {"labels.a.b/c"}) == Labels{{"new", "3"}, {"a.b/c", "5"}});
  CHECK(update({{"only", "6"}}, {"labels"}) == Labels{{"only", "6"}});
  CHECK(update({{"x", "7"}, {"y", "8"}}, {"labels.x", "labels"}) == Labels{{"x", "7"}, {"y", "8"}});
  CHECK(update({{"all", "9"}, {"none", ""}}, {}) == Labels{{"all", "9"}});
  for (const std::vector<std::string>& paths :
       {std::vector<std::string>{"size"}, {"labels.x", "created_at"}, {"label"}, {""}}) {
    CHECK(code_of([&] { update({{"x", "0"}}, paths); }) == Code::kInvalidArgument);
  }
  CHECK(w.content->info(w.call, w.a, digest).labels == Labels{{"all", "9"}});
  CHECK(update({}, {}) == Labels{});
}

TEST_CASE("update moves the update time, not the creation time, and needs the blob") {
  World w;
  const Digest digest = w.put(w.a, "x");
  const content::Blob before = w.content->info(w.call, w.a, digest);
  const content::Blob after = w.content->update(w.call, w.a, digest, {{"k", "v"}}, {});
  CHECK(after.created_ns == before.created_ns);
  CHECK(after.updated_ns > before.updated_ns);
  CHECK(after.size == 1);
  CHECK(code_of([&] { w.content->update(w.call, w.a, digest_of("no"), {}, {}); }) == Code::kNotFound);
}

TEST_CASE("an update of a blob that the client never claimed gives it the claim") {
  World w;
  const Digest digest = w.put(w.a, "x");
  CHECK(w.content->update(w.call, w.b, digest, {{"k", "v"}}, {}).labels == Labels{{"k", "v"}});
  CHECK(w.catalog->claimants(digest) == Names{"a", "b"});
}
