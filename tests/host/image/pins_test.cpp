// Whose a pin is: the operator's, a run's that works, or one's that was killed.
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <map>

#include "host/image/index_of_two.hpp"
#include "image/rewrite.hpp"
#include "image/run_owner.hpp"

using namespace ipcs;
using namespace ipcs::image;
using test::add_index;
using test::brought;
using test::Images;
using test::Node;
using Daemon = ipcs::image::Store;

namespace {

// The name of a run of a process that is gone.
std::string ended_run() {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const std::string owner = new_run_owner();
    ::_exit(::write(ends[1], owner.data(), owner.size()) == static_cast<ssize_t>(owner.size()) ? 0 : 1);
  }
  ::close(ends[1]);
  std::string owner(1000, '\0');
  owner.resize(static_cast<size_t>(std::max<ssize_t>(0, ::read(ends[0], owner.data(), owner.size()))));
  ::close(ends[0]);
  CHECK_FALSE(owner.empty());
  int status = 1;
  CHECK(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  return owner;
}

}  // namespace

TEST_CASE("a run is known to have ended when its process has") {
  const std::string ended = ended_run(), own = new_run_owner();
  CHECK(run_has_ended(ended));
  CHECK_FALSE(run_has_ended(own));
  CHECK(own != new_run_owner());
  // Its id is another process's now.
  const std::string pid = "-" + std::to_string(::getpid()) + "-";
  std::string reused = own;
  const size_t start = own.find(pid) + pid.size();
  reused.replace(start, own.find('-', start) - start, "1");
  CHECK(run_has_ended(reused));
  // Nothing is known of these.
  for (const std::string& other : {std::string("operator"), std::string(), "image-0badb007" + ended.substr(14),
                                   ended.substr(0, 23), std::string("image-"), own + "x"}) {
    INFO(other);
    CHECK_FALSE(run_has_ended(other));
  }
}

TEST_CASE("pins: the operator's stay as they were, a run's go, what is published stays") {
  const std::string killed = ended_run();  // before there are threads
  Node node;
  Images source;
  add_index(source);
  const std::string kept = source.blobs.begin()->second;
  const oci::Digest operators = node.world.put(node.world.op, kept);
  node.world.content->pin(node.world.call, operators, "mine");
  const oci::Digest left = node.world.put(node.world.a, "the layer of both");
  node.world.content->pin(node.world.call, left, "ipcsctl image convert x y", killed);
  const oci::Digest untouched = node.world.put(node.world.a, "what the killed run alone had");
  node.world.content->pin(node.world.call, untouched, "ipcsctl image convert x y", killed);
  oci::Digest published = left;
  {
    Daemon store(node.peer, node.control, "convert a b", node.call);
    const Stored stored = rewrite(store, brought(node, store, source), {}, node.call);
    CHECK(node.notes_on(operators).at("operator") == "mine");
    CHECK(node.notes_on(operators).size() == 2);
    CHECK(node.notes_on(left).size() == 2);
    for (const auto& [owner, note] : node.notes_on(left)) {
      if (owner != killed) CHECK((owner.starts_with("image-") && note == "ipcsctl image convert a b"));
    }
    published = stored.image.root().descriptor.digest();
    store.keep(published, "published", node.call);
    store.keep(operators, "published", node.call);
  }
  CHECK(node.pins() ==
        std::map<std::string, std::string>{{operators.to_string(), "mine"}, {published.to_string(), "published"}});
}

TEST_CASE("two runs on the same blobs: the one that ends first leaves the other what it works on") {
  Node node;
  Images source;
  add_index(source);
  auto first = std::make_unique<Daemon>(node.peer, node.control, "convert a b", node.call);
  Daemon second(node.peer, node.control, "convert a c", node.call);
  const bool both_convert = GENERATE(true, false);
  const Stored of_first = rewrite(*first, brought(node, *first, source), {}, node.call);
  const oci::Image brought_again = brought(node, second, source);  // finds all of them
  std::vector<oci::Descriptor> needed;
  for (const oci::ImageNode& blob : brought_again.nodes) needed.push_back(blob.descriptor);
  if (both_convert) {
    const Stored of_second = rewrite(second, brought_again, {}, node.call);
    for (const oci::ImageNode& blob : of_second.image.nodes) needed.push_back(blob.descriptor);
  }
  // Bytes that one of them writes while the other is at the same place.
  const oci::Digest written = first->put("written by both", node.call);
  CHECK(second.put("written by both", node.call) == written);
  needed.emplace_back("", written, 15);
  first.reset();
  for (const oci::Descriptor& blob : needed) {
    INFO(blob.digest().to_string());
    CHECK(node.world.memory->has(blob.digest().to_string()));
    CHECK(node.notes_on(blob.digest()).size() == 1);
    CHECK(second.has(blob, node.call));
  }
  if (!both_convert) {
    const Stored later = rewrite(second, brought_again, {}, node.call);
    CHECK(later.image.root().descriptor == of_first.image.root().descriptor);
  }
  second.drop_pins(node.call);
  CHECK(node.all_pins().empty());
  const std::lock_guard lock(node.world.memory->mutex);
  CHECK(node.world.memory->blobs.empty());
}
