// The verbs for a change of the backend: what is to be copied, and the copy.
#include <cstdlib>

#include "fixture.hpp"
#include "host/content/repairing_store.hpp"

namespace ipcs::test {
namespace {

using Catch::Contains;
using Catch::EndsWith;
using Catch::StartsWith;

// A new store in front of one with `texts`, all of them the operator's.
std::function<void(World&)> moved(std::vector<std::string> texts) {
  return [texts = std::move(texts)](World& world) {
    world.recover();
    for (const std::string& text : texts) world.put(world.op, text);
    world.switch_store();
    world.recover();
  };
}

TEST_CASE("backend status and status tell about the previous store and what is to be copied") {
  Control control(moved({"one", "three"}));
  const Json json = control.ctl({"backend", "status", "--format=json"}).json();
  CHECK(json["store_id"] == "memory-2");
  CHECK(json["previous"] == Json({{"name", "memory"},
                                  {"version", "1"},
                                  {"store_id", "memory-1"},
                                  {"location", "memory"},
                                  {"read_only", true},
                                  {"full", false},
                                  {"used_bytes", 0},
                                  {"free_bytes", 0},
                                  {"quota_bytes", 0},
                                  {"to_copy", {{"count", 2}, {"bytes", 8}}}}));
  CHECK(control.ctl({"status", "--format=json"}).json()["previous"] == json["previous"]);
  CHECK(control.ctl({"backend", "status"}).out ==
        "backend:   memory 1\n"
        "store id:  memory-2\n"
        "location:  memory\n"
        "state:     ok\n"
        "space:     0B used, 0B free\n"
        "\n"
        "previous:  memory 1\n"
        "store id:  memory-1\n"
        "location:  memory\n"
        "state:     read-only\n"
        "space:     0B used, 0B free\n"
        "to copy:   2 blobs, 8B\n");
  CHECK_THAT(control.ctl({"status"}).out,
             Contains("\nprevious:  memory 1, memory\nto copy:   2 blobs, 8B\n") && Contains("\nmissing:   0\n"));
}

TEST_CASE("backend copy copies, and says when the previous backend is not needed any more") {
  Control control(moved({"one", "three"}));
  const Result result = control.ctl({"backend", "copy"});
  CHECK(result.out == "");
  CHECK_THAT(result.err,
             StartsWith("copied 2 blobs, 8B in ") &&
                 Contains("\nnothing is left to copy: `previous` can be taken out of ipcsd's configuration\n"));
  CHECK(result.code == 0);
  CHECK(control.world.memory->has(digest_of("three").to_string()));
  CHECK(control.world.catalog->previous_store_id().empty());
  CHECK_THAT(control.ctl({"backend", "status"}).out,
             Contains("to copy:   nothing: `previous` can be taken out of ipcsd's configuration\n"));
  check_out(control.ctl({"backend", "copy", "-q"}), "");
  CHECK(control.ctl({"backend", "copy", "--format=json"}).json() == Json({{"copied", {{"count", 0}, {"bytes", 0}}},
                                                                          {"to_copy", {{"count", 0}, {"bytes", 0}}},
                                                                          {"complete", true},
                                                                          {"findings", Json::array()}}));
}

TEST_CASE("backend copy lists what it can't copy and fails") {
  Control control(moved({"good", "flipped", "lost"}));
  World& world = control.world;
  const std::string flipped = digest_of("flipped").to_string(), lost = digest_of("lost").to_string();
  world.before->put(flipped, bytes_of("flippfd"));
  world.before->drop(lost);
  const Result result = control.ctl({"backend", "copy", "--format=json"});
  CHECK(result.code == 1);
  CHECK_THAT(result.err, Contains("ipcsctl: 1 damaged, 1 missing: not copied; `ipcsctl content ingest`") &&
                             !Contains("can be taken out"));
  const Json json = result.json();
  CHECK(json["copied"] == Json({{"count", 1}, {"bytes", 4}}));
  CHECK(json["to_copy"] == Json({{"count", 2}, {"bytes", 11}}));
  CHECK(json["complete"] == false);
  std::map<std::string, std::string> found;
  for (const Json& finding : json["findings"]) found[finding["digest"]] = finding["kind"];
  CHECK(found == std::map<std::string, std::string>{{flipped, "damaged"}, {lost, "missing"}});
  check_failed(control.ctl({"content", "get", flipped}), 1, "not found");
  CHECK_THAT(control.ctl({"backend", "copy"}).out, Contains("damaged     " + flipped + "  the bytes have the digest "));

  check_out(control.ctl_with("flipped", {"content", "ingest", "again"}), flipped + "\n");
  check_out(control.ctl({"content", "rm", lost, "-q"}), lost + "\n");
  CHECK_THAT(control.ctl({"backend", "copy"}).err, Contains("nothing is left to copy"));
}

TEST_CASE("there is nothing to copy where no previous backend is configured") {
  Control control;
  check_failed(control.ctl({"backend", "copy"}), 1, "no previous backend is configured");
}

TEST_CASE("an interrupted copy ends in the daemon too, and the next one goes on") {
  std::vector<std::string> texts;
  for (int i = 0; i < 100; ++i) texts.push_back(std::to_string(i));
  Control control(moved(texts));
  World& world = control.world;
  std::atomic<int> opened{0};
  world.before->set_on_call([&](const char* function, const plugin::Call&) {
    if (std::string_view(function) != "open_blob") return;
    ++opened;
    std::this_thread::sleep_for(20ms);
  });
  Run run(world.dir, control.addressed({"backend", "copy"}));
  CHECK(eventually([&] { return opened > 3; }));
  const TempDir elsewhere;  // for the output of a second program
  check_failed(Run(elsewhere, control.addressed({"backend", "copy"})).wait(), 1,
               "another copy of the previous backend is under way");
  run.kill(SIGINT);
  const Result result = run.wait();
  CHECK(result.signal == SIGINT);
  CHECK(result.err == "ipcsctl: interrupted\n");
  // The daemon notices that nobody waits any more.
  CHECK(eventually([&] { return control.ctl({"backend", "copy", "-q"}).code == 0; }));
  CHECK(opened < 105);
  const std::lock_guard lock(world.memory->mutex);
  CHECK(world.memory->blobs.size() == 100);
}

TEST_CASE("pin audit and backend repair say what differs, and fail while any is left") {
  Control control([](World& world) {
    make_repairing(world);
    world.put(world.a, "one");
    world.memory->put(digest_of("two").to_string(), bytes_of("two"));
  });
  const std::string two = digest_of("two").to_string();
  RepairingStore::set_guards({"QmGuard"});
  Result audit = control.ctl({"pin", "audit"});
  CHECK(audit.out == "leaked      QmGuard  a pin\nleaked      " + two + "  it is stored, but nobody holds it\nleaked:   2\nmissing:  0\n");
  CHECK(audit.err == "audited 2 blobs, 40B, 1 of them not hashed yet\n"
                     "ipcsctl: 2 differences: `ipcsctl backend repair` mends what can be mended\n");
  CHECK(audit.code == 1);
  audit = control.ctl({"pin", "audit", "--format=json"});
  CHECK(audit.json() == Json({{"blobs", {{"count", 2}, {"bytes", 40}}},
                              {"claims", 1},
                              {"pending", 2},
                              {"leaked", 2},
                              {"missing", 0},
                              {"damaged", 0},
                              {"left", 2},
                              {"findings",
                               {{{"kind", "leaked"}, {"digest", "QmGuard"}, {"detail", "a pin"}, {"mended", false}},
                                {{"kind", "leaked"}, {"digest", two}, {"detail", "it is stored, but nobody holds it"}, {"mended", false}}}}}));
  CHECK(audit.code == 1);

  const Result repair = control.ctl({"backend", "repair"});
  CHECK(repair.out == "leaked      QmGuard  a pin; mended\nleaked      " + two + "  it is stored, but nobody holds it; mended\n");
  CHECK_THAT(repair.err, StartsWith("2 differences mended in ") && Contains(": 2 blobs, 40B"));
  CHECK(repair.code == 0);
  RepairingStore::set_guards({});
  audit = control.ctl({"pin", "audit"});
  CHECK(audit.out == "leaked:   0\nmissing:  0\n");
  CHECK(audit.code == 0);
  check_out(control.ctl({"pin", "audit", "-q"}), "");
}

TEST_CASE("audit and repair are refused in one line where the backend has no index") {
  Control control;
  check_failed(control.ctl({"pin", "audit"}), 1, "the backend \"memory\" does not offer ipcs.repair/1: it keeps no index beside its blobs");
  check_failed(control.ctl({"backend", "repair"}), 1, "does not offer ipcs.repair/1");
}

TEST_CASE("an interrupted repair ends in the daemon too") {
  Control control(make_repairing);
  World& world = control.world;
  RepairingStore::set_guards(std::vector<std::string>(1000, "QmGuard"));
  std::atomic<int> steps{0};
  world.memory->set_on_call([&](const char* function, const plugin::Call&) {
    if (std::string_view(function) != "repair") return;
    ++steps;
    std::this_thread::sleep_for(20ms);
  });
  Run run(world.dir, control.addressed({"backend", "repair"}));
  CHECK(eventually([&] { return steps > 3; }));
  run.kill(SIGINT);
  const Result result = run.wait();
  CHECK(result.signal == SIGINT);
  CHECK_THAT(result.err, EndsWith("ipcsctl: interrupted\n"));
  // The daemon notices that nobody waits any more.
  int before = -1;
  CHECK(eventually([&] {
    std::this_thread::sleep_for(50ms);
    return std::exchange(before, steps.load()) == steps;
  }));
  CHECK(steps < 900);
  RepairingStore::set_guards({});
}

}  // namespace
}  // namespace ipcs::test
