// Holders, the backend's list and what the backend finds itself, held against each other.
#include "content/repair.hpp"

#include "host/content/repairing_store.hpp"

using namespace ipcs;
using namespace ipcs::test;

namespace {

struct Outcome {
  std::vector<Difference> found;
  content::RepairReport report;
};

Outcome repair(World& w, bool dry_run) {
  Outcome outcome;
  const std::vector<std::string> clients{"a", "b"};
  outcome.report = content::repair(w.call, *w.content, clients, dry_run,
                                   {[&](const Difference& difference) { outcome.found.push_back(difference); }, {}});
  return outcome;
}

}  // namespace

TEST_CASE("a backend without an index has nothing to repair") {
  World w;
  CHECK(code_of([&] { repair(w, true); }) == Code::kUnimplemented);
}

TEST_CASE("where all agree nothing is found") {
  World w;
  make_repairing(w);
  w.put(w.a, "one");
  w.put(w.op, "two");
  const Outcome outcome = repair(w, true);
  CHECK(outcome.found.empty());
  CHECK((outcome.report.left == 0 && outcome.report.store.blobs == 2 && outcome.report.progress.done_bytes == 40));
}

TEST_CASE("blobs that nobody holds and holds without bytes are found; the former become everybody's") {
  World w;
  make_repairing(w);
  const auto lost = w.put(w.a, "lost"), cut = w.put(w.a, "cut");
  w.memory->blobs.erase(lost.to_string());
  w.memory->put(cut.to_string(), bytes_of("c"));
  w.memory->put(digest_of("stranger").to_string(), bytes_of("stranger"));
  RepairingStore::set_guards({"QmGuard"});

  const Outcome audit = repair(w, true);
  CHECK((audit.report.leaked == 2 && audit.report.missing == 1 && audit.report.damaged == 1 && audit.report.left == 4));
  CHECK(w.listed(w.b).empty());

  const Outcome repaired = repair(w, false);
  CHECK((repaired.report.leaked == 2 && repaired.report.missing == 1 && repaired.report.damaged == 1 && repaired.report.left == 2));
  CHECK(w.listed(w.b) == names({digest_of("stranger")}));
  const Outcome again = repair(w, true);
  CHECK((again.report.leaked == 1 && again.report.missing == 1 && again.report.damaged == 1));
  RepairingStore::set_guards({});
}

TEST_CASE("who is told can end it") {
  World w;
  make_repairing(w);
  RepairingStore::set_guards({"QmOne", "QmTwo"});
  int told = 0;
  const Repairer::Observer observer{[&](const Difference&) {
                                      ++told;
                                      throw Error(Code::kAborted, "enough");
                                    },
                                    {}};
  CHECK(code_of([&] { content::repair(w.call, *w.content, {}, false, observer); }) == Code::kAborted);
  CHECK(told == 1);
  RepairingStore::set_guards({});
}
