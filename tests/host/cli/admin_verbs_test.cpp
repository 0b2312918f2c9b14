// The verbs behind ipcs.v1.Admin: pins, verification, usage, status, plugins, versions.
#include "fixture.hpp"

namespace ipcs::test {
namespace {

using Catch::Contains;
using Catch::Matches;
using Catch::StartsWith;

const std::string kUnknown = "sha256:" + std::string(64, '0');

// A client without ingests, as `status` and `client ls` have it.
Json client_json(const std::string& name, const std::string& address, int claims, int bytes) {
  return {{"name", name},
          {"address", address},
          {"claims", claims},
          {"bytes", bytes},
          {"configured", !address.empty()},
          {"ingests", {{"count", 0}, {"bytes", 0}}}};
}

TEST_CASE("pins are added, listed and removed") {
  Control control;
  const oci::Digest digest = control.world.put(control.world.a, "blob");
  check_out(control.ctl({"pin", "ls"}), "DIGEST  SIZE  AGE  OWNER  NOTE\n");
  check_out(control.ctl({"pin", "add", digest.to_string(), "--note", "for the\nrelease"}), "");
  CHECK(control.world.catalog->pinned(digest));
  CHECK_THAT(control.ctl({"pin", "ls"}).out,
             Contains(digest.to_string() + "    4B  ") && Contains("  operator  for the\\x0arelease\n"));
  check_out(control.ctl({"pin", "ls", "-q"}), digest.to_string() + "\n");
  const Json json = control.ctl({"pin", "ls", "--format=json"}).json();
  REQUIRE(json.size() == 1);
  CHECK(json[0]["digest"] == digest.to_string());
  CHECK(json[0]["size"] == 4);
  CHECK(json[0]["note"] == "for the\nrelease");
  CHECK(json[0]["owner"] == "operator");

  check_failed(control.ctl({"pin", "add", kUnknown}), 1, kUnknown + ": not found");
  check_out(control.ctl({"pin", "rm", digest.to_string()}), "");
  check_failed(control.ctl({"pin", "rm", digest.to_string()}), 1, digest.to_string() + ": not pinned");
  CHECK(control.world.memory->has(digest.to_string()));  // a still claims it
}

TEST_CASE("an operator's pin and those of runs know nothing of each other") {
  Control control;
  const std::string blob = control.world.put(control.world.op, "blob").to_string();
  check_out(control.ctl({"pin", "add", blob, "--owner", "run 1", "--note", "converts"}), "");
  check_out(control.ctl({"pin", "add", blob, "--owner", "run 2"}), "");
  check_out(control.ctl({"pin", "ls", "-q"}), blob + "\n");
  CHECK(control.ctl({"pin", "ls", "--format=json"}).json().size() == 3);
  const Json one = control.ctl({"pin", "ls", "--owner", "run 1", "--format=json"}).json();
  REQUIRE(one.size() == 1);
  CHECK(one[0]["note"] == "converts");
  CHECK_THAT(control.ctl({"content", "info", blob}).out,
             Contains("held by:  the operator (pinned), owner run 1 (pinned), owner run 2 (pinned)\n"));

  check_out(control.ctl({"pin", "rm", blob}), "");
  CHECK(control.ctl({"pin", "ls", "--format=json"}).json().size() == 2);
  check_failed(control.ctl({"pin", "rm", blob}), 1, blob + ": not pinned by the operator, but by run 1, run 2");
  check_out(control.ctl({"pin", "rm", blob, "--owner", "run 1"}), "");
  const Result removed = control.ctl({"content", "rm", blob});
  CHECK(removed.err == blob + ": owner run 2 (pinned) still holds it, so its bytes stay\n");
  check_failed(control.ctl({"pin", "rm", blob, "--all", "--owner", "x"}), 2, "--owner");
  check_failed(control.ctl({"pin", "add", blob, "--owner", std::string(257, 'x')}), 1, "256");
  check_out(control.ctl({"pin", "rm", blob, "--all"}), "");
  check_failed(control.ctl({"pin", "rm", blob, "--all"}), 1, blob + ": not pinned");
  const std::lock_guard lock(control.world.memory->mutex);
  CHECK(control.world.memory->blobs.empty());
}

TEST_CASE("more pins than one message holds") {
  Control control;
  for (int i = 0; i < 600; ++i) control.world.catalog->pin(digest_of(std::to_string(i)), 1, 1, {});
  CHECK(control.ctl({"pin", "ls", "--format=json"}).json().size() == 600);
}

TEST_CASE("verify: nothing is wrong") {
  Control control;
  control.world.put(control.world.a, "one");
  control.world.put(control.world.op, "three");
  const Result result = control.ctl({"verify"});
  CHECK(result.out == "");
  CHECK_THAT(result.err, StartsWith("verified 2 blobs, 8B in "));
  CHECK(result.code == 0);
  check_out(control.ctl({"verify", "-q"}), "");
  CHECK(control.ctl({"verify", "--format=json"}).json() ==
        Json({{"blobs", 2}, {"bytes", 8}, {"findings", Json::array()}}));
}

TEST_CASE("verify lists what is damaged and missing, quarantines, and writing again heals") {
  Control control;
  World& world = control.world;
  const std::string good = world.put(world.op, "good").to_string();
  const std::string flipped = world.put(world.op, "flipped").to_string();
  const std::string lost = world.put(world.a, "lost").to_string();
  world.memory->put(flipped, bytes_of("flippfd"));
  world.memory->drop(lost);

  const Result result = control.ctl({"verify", "--format=json"});
  CHECK(result.code == 1);
  CHECK_THAT(result.err, Contains("ipcsctl: 1 damaged, 1 missing: `ipcsctl content ingest`"));
  const Json json = result.json();
  CHECK(json["blobs"] == 3);
  std::map<std::string, std::string> found;
  for (const Json& finding : json["findings"]) found[finding["digest"]] = finding["kind"];
  CHECK(found == std::map<std::string, std::string>{{flipped, "damaged"}, {lost, "missing"}});

  {
    const std::lock_guard lock(world.memory->mutex);
    CHECK(world.memory->quarantined.contains(flipped));
  }
  check_failed(control.ctl({"content", "get", flipped}), 1, "not found");
  CHECK_THAT(control.ctl({"verify", flipped}).out, StartsWith("missing     " + flipped + "  "));
  CHECK(control.ctl({"status", "--format=json"}).json()["missing"] == 2);

  check_out(control.ctl_with("flipped", {"content", "ingest", "again"}), flipped + "\n");
  check_out(control.ctl({"content", "get", flipped}), "flipped");
  CHECK(control.ctl({"verify", flipped, good}).code == 0);
  check_failed(control.ctl({"verify", kUnknown}), 1, kUnknown + ": not found");
}

TEST_CASE("verify ends when it is interrupted") {
  Control control;
  World& world = control.world;
  for (int i = 0; i < 300; ++i) world.put(world.op, std::to_string(i));
  std::atomic<int> opened{0};
  world.memory->set_on_call([&](const char* function, const plugin::Call&) {
    if (std::string_view(function) != "open_blob") return;
    ++opened;
    std::this_thread::sleep_for(20ms);
  });
  Run run(world.dir, control.addressed({"verify"}));
  CHECK(eventually([&] { return opened > 3; }));
  run.kill(SIGINT);
  const Result result = run.wait();
  CHECK(result.signal == SIGINT);
  CHECK(result.err == "ipcsctl: interrupted\n");
  // The daemon notices that nobody waits any more.
  control.server.reset();
  CHECK(opened < 300);
}

TEST_CASE("a request that takes too long ends at its time limit") {
  Control control;
  World& world = control.world;
  for (int i = 0; i < 100; ++i) world.put(world.op, std::to_string(i));
  world.memory->set_on_call([](const char*, const plugin::Call&) { std::this_thread::sleep_for(20ms); });
  check_failed(control.ctl({"verify", "--timeout", "300ms"}), 1, "not done in 300ms (--timeout sets another limit)");
}

TEST_CASE("a bar on a terminal, none where it is not wanted") {
  Control control;
  World& world = control.world;
  for (int i = 0; i < 40; ++i) world.put(world.op, std::string(1000, static_cast<char>('a' + i)));
  world.memory->set_on_call([](const char* function, const plugin::Call&) {
    if (std::string_view(function) == "open_blob") std::this_thread::sleep_for(30ms);
  });
  const auto on_terminal = [&](std::vector<std::string> args, const std::string& term) {
    return seen_on_terminal(world.dir, control.addressed(std::move(args)), term);
  };
  const std::string bar = on_terminal({"verify"}, "xterm");
  CHECK_THAT(bar, Contains("\rverify sha256:") && Contains("%") && Contains("/40kB") && Contains("=>"));
  CHECK_THAT(bar, Contains("\r\x1b[Kverified 40 blobs, 40kB in "));
  CHECK_THAT(on_terminal({"verify", "--no-progress"}, "xterm"), StartsWith("verified 40 blobs"));
  CHECK_THAT(on_terminal({"verify"}, "dumb"), StartsWith("verified 40 blobs"));
  CHECK(on_terminal({"verify", "-q"}, "xterm") == "");
}

TEST_CASE("df tells who holds how much") {
  Control control;
  World& world = control.world;
  world.put(world.a, "1");
  world.put(world.op, "22");
  const oci::Digest both = world.put(world.a, "333");
  world.content->info(world.call, world.b, both);
  world.content->pin(world.call, both, {});
  world.content->open_writer(world.call, world.b, "ref", 0, {}).write(world.call, bytes_of("4444"));

  const Json json = control.ctl({"df", "--format=json"}).json();
  const auto amount = [](int count, int bytes) { return Json({{"count", count}, {"bytes", bytes}}); };
  CHECK(json["total"] == amount(3, 6));
  CHECK(json["pinned"] == amount(2, 5));
  const auto client = [&](int count, int bytes) {
    Json claims = amount(count, bytes);
    claims["configured"] = true;
    return claims;
  };
  CHECK(json["clients"] == Json({{"a", client(2, 4)}, {"b", client(1, 3)}}));
  CHECK(json["shared"] == amount(1, 3));
  CHECK(json["ingests"] == amount(1, 4));
  CHECK(json["free_bytes"] == 0);
  CHECK_THAT(control.ctl({"df"}).out, StartsWith("HELD BY  COUNT  SIZE  WHAT\npins         2    5B  ") &&
                                          Contains("\nb            1    3B  ") && Contains("\nfree         -    0B  "));
}

TEST_CASE("status tells about daemon, store, clients and start") {
  Control control;
  World& world = control.world;
  world.put(world.a, "1");
  const oci::Digest cut = world.put(world.op, "22");
  world.memory->put(cut.to_string(), bytes_of("2"));
  const Json json = control.ctl({"status", "--format=json"}).json();
  CHECK(json["version"] == IPCS_VERSION);
  CHECK(json["uptime_seconds"].get<double>() >= 0);
  CHECK(json["backend"] == Json({{"name", "memory"},
                                 {"version", "1"},
                                 {"store_id", "memory-1"},
                                 {"location", "memory"},
                                 {"read_only", false},
                                 {"full", false},
                                 {"used_bytes", 0},
                                 {"free_bytes", 0},
                                 {"quota_bytes", 0}}));
  CHECK(json["blobs"] == 2);
  CHECK(json["bytes"] == 3);
  CHECK(json["pins"] == 1);
  CHECK(json["missing"] == 0);
  CHECK(json["damaged"] == 1);
  CHECK(json["ingests"] == 0);
  CHECK(json["clients"] == Json::array({client_json("a", "/run/a.sock", 1, 1), client_json("b", "/run/b.sock", 0, 0)}));
  CHECK(json["recovery"] ==
        Json({{"blobs", 7}, {"bytes", 700}, {"adopted", 1}, {"missing", 2}, {"damaged", 3}, {"dropped_ingests", 4}}));

  const Result table = control.ctl({"status"});
  CHECK_THAT(table.out, Contains("ipcsd:     " IPCS_VERSION " on " + control.socket + "\n") &&
                            Contains("client a:  1 claim, 1B, on /run/a.sock\n") &&
                            Contains("at start:  7 blobs, 700B; 1 adopted, 2 missing, 3 damaged, 4 ingests dropped\n"));
  CHECK_THAT(control.ctl({"backend", "status"}).out, Contains("store id:  memory-1\n") && Contains("state:     ok\n"));
  CHECK(json["previous"].is_null());
  Json backend = json["backend"];
  backend["previous"] = nullptr;
  CHECK(control.ctl({"backend", "status", "--format=json"}).json() == backend);
  CHECK_THAT(table.out, !Contains("to copy:"));
  {
    const std::lock_guard lock(world.memory->mutex);
    world.memory->read_only = true;
  }
  CHECK_THAT(control.ctl({"backend", "status"}).out, Contains("state:     read-only\n"));
}

TEST_CASE("status tells what was unpacked") {
  Control control;
  diff::UnpackTotals& totals = control.unpacked;
  totals.applied = 12;
  totals.failed = 3;
  totals.under_way = 2;
  totals.stored_bytes = 5'000'000;
  totals.uncompressed_bytes = 20'500'000;
  totals.read_ns = 250'000'000;
  totals.decompress_ns = 1'500'000'000;
  totals.hash_ns = 750'000'000;
  totals.write_ns = 61'040'000'000;
  CHECK(control.ctl({"status", "--format=json"}).json()["unpacking"] ==
        Json({{"address", "/run/diff.sock"},
              {"applied", 12},
              {"failed", 3},
              {"under_way", 2},
              {"stored_bytes", 5'000'000},
              {"uncompressed_bytes", 20'500'000},
              {"seconds", {{"read", 0.25}, {"decompress", 1.5}, {"hash", 0.75}, {"write", 61.04}}}}));
  CHECK_THAT(control.ctl({"status"}).out,
             Contains("layers:    12 applied, 3 failed, 2 running, on /run/diff.sock\n") &&
                 Contains("unpacked:  20.5MB from 5MB; read 0.2 s, decompress 1.5 s, hash 0.8 s, write 61.0 s\n"));
}

// A daemon in whose catalog "old" has two blobs, one of them with client a, and an ingest.
struct FormerClient {
  Control control;
  World& world = control.world;
  const content::Client old{"old"};
  const oci::Digest own = world.put(old, "own"), shared = world.put(old, "shared");

  FormerClient() {
    world.content->info(world.call, world.a, shared);
    world.content->open_writer(world.call, old, "ref", 0, {}).write(world.call, bytes_of("12345"));
  }
};

TEST_CASE("clients that are no longer configured are listed as such") {
  FormerClient test;
  Control& control = test.control;
  Json old = client_json("old", "", 2, 9);
  old["ingests"] = {{"count", 1}, {"bytes", 5}};
  const Json all = Json::array({client_json("a", "/run/a.sock", 1, 6), client_json("b", "/run/b.sock", 0, 0), old});
  CHECK(control.ctl({"client", "ls", "--format=json"}).json() == all);
  CHECK(control.ctl({"status", "--format=json"}).json()["clients"] == all);
  check_out(control.ctl({"client", "list", "-q"}), "a\nb\nold\n");
  check_out(control.ctl({"client", "ls"}),
            "NAME  ADDRESS      CLAIMS  SIZE  INGESTS\n"
            "a     /run/a.sock       1    6B        0\n"
            "b     /run/b.sock       0    0B        0\n"
            "old   -                 2    9B        1\n");
  CHECK_THAT(control.ctl({"status"}).out,
             Contains("client a:    1 claim, 6B, on /run/a.sock\n") &&
                 Contains("client old:  2 claims, 9B, 1 ingest, not configured: `ipcsctl client rm old` drops what it "
                          "holds\n"));
  const Json df = control.ctl({"df", "--format=json"}).json();
  CHECK(df["clients"]["old"] == Json({{"count", 2}, {"bytes", 9}, {"configured", false}}));
  CHECK(df["clients"]["a"]["configured"] == true);
  CHECK(df["shared"] == Json({{"count", 1}, {"bytes", 6}}));
  CHECK_THAT(control.ctl({"df"}).out, Contains("\nold          2    9B  not configured: `ipcsctl client rm` drops"));
}

TEST_CASE("client rm drops what a client holds that is no longer configured") {
  FormerClient test;
  Control& control = test.control;
  const auto refused = [&](const std::string& name, const std::string& text) {
    check_failed(control.ctl({"client", "rm", name}), 1, text);
  };
  refused("a", "client \"a\": is configured, on /run/a.sock");
  refused("odl", "client \"odl\": has no claims and no ingests (did you mean \"old\"?)");
  refused("other", "client \"other\": has no claims and no ingests; `ipcsctl client ls` lists");
  refused("operator", "client \"operator\": is no client's name");
  refused("", "client \"\": is no client's name");
  CHECK(test.world.listed(test.world.a) == names({test.shared}));
  CHECK(test.world.listed(test.old) == names({test.own, test.shared}));

  SECTION("as text") {
    check_out(control.ctl({"client", "rm", "old"}),
              "old: dropped 2 claims (9B) and 1 ingest (5B); 1 blob (3B) removed, as nobody else held them\n");
  }
  SECTION("as JSON, with others that fail") {
    const Result result = control.ctl({"client", "rm", "--format=json", "b", "old"});
    check_failed({result.code, result.signal, {}, result.err}, 1, "client \"b\": is configured");
    CHECK(result.json() == Json::array({{{"name", "old"},
                                         {"claims", {{"count", 2}, {"bytes", 9}}},
                                         {"freed", {{"count", 1}, {"bytes", 3}}},
                                         {"ingests", {{"count", 1}, {"bytes", 5}}}}}));
  }
  CHECK_FALSE(test.world.memory->has(test.own.to_string()));
  CHECK(test.world.memory->ingest_count() == 0);
  CHECK(test.world.read(test.shared) == "shared");
  check_out(control.ctl({"client", "ls", "-q"}), "a\nb\n");
  refused("old", "client \"old\": has no claims and no ingests");
}

TEST_CASE("plugins that the daemon found") {
  Control control;
  CHECK(control.ctl({"plugin", "ls"}).out ==
        "NAME    VERSION  ABI  STATE                   PATH                REASON\n"
        "memory  1        1.1  ok, in use              /plugins/memory.so\n"
        "former  1        1.1  ok, in use as previous  /plugins/former.so\n"
        "broken  -        -    refused                 /plugins/broken.so  not an ELF file\n");
  CHECK_THAT(control.ctl({"plugin", "info", "former"}).out, Contains("in use:       as previous\n"));
  CHECK(control.ctl({"plugin", "info", "former", "--format=json"}).json()[0]["previous"] == true);
  CHECK_THAT(control.ctl({"plugin", "info", "memory"}).out,
             Contains("build:        g++\n") && Contains("in use:       yes\n"));
  const Json json = control.ctl({"plugin", "info", "broken", "--format=json"}).json();
  CHECK(json[0]["reason"] == "not an ELF file");
  CHECK(json[0]["selected"] == false);
  check_failed(control.ctl({"plugin", "info", "memroy"}), 1, "no plugin \"memroy\" (did you mean \"memory\"?)");
}

TEST_CASE("version of both sides") {
  Control control;
  check_out(control.ctl({"version"}), "ipcsctl:  " IPCS_VERSION "\nipcsd:    " IPCS_VERSION "\n");
  CHECK(control.ctl({"version", "--format=json"}).json() == Json({{"client", IPCS_VERSION}, {"server", IPCS_VERSION}}));
  check_out(control.ctl({"--version"}), "ipcsctl " IPCS_VERSION "\n");
  control.server.reset();
  const Result alone = control.ctl({"version"});
  CHECK(alone.out == "ipcsctl:  " IPCS_VERSION "\n");
  check_failed(alone, 1, "is not listening on " + control.socket);
}

}  // namespace
}  // namespace ipcs::test
