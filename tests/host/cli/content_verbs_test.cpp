// `ipcsctl content`: what it prints, what it changes, how it ends.
#include "fixture.hpp"

namespace ipcs::test {
namespace {

using Catch::Contains;
using Catch::Matches;
using Catch::StartsWith;

const std::string kUnknown = "sha256:" + std::string(64, '0');

TEST_CASE("ingest stores, pins and prints the digest") {
  Control control;
  const oci::Digest digest = digest_of("hello");
  check_out(control.ctl_with("hello", {"content", "ingest", "ref"}), digest.to_string() + "\n");
  CHECK(control.world.catalog->pinned(digest));
  CHECK(control.world.read(digest) == "hello");

  SECTION("again: that it was there is no failure") {
    const Result again = control.ctl_with("hello", {"content", "ingest", "other"});
    CHECK(again.out == digest.to_string() + "\n");
    CHECK_THAT(again.err, Contains("was stored already"));
    CHECK(again.code == 0);
  }
  SECTION("again, said beforehand: nothing is read, nothing stays behind") {
    const Result again =
        control.ctl({"content", "ingest", "other", "--expected-digest", digest.to_string(), "--format", "json"});
    CHECK(again.json() == Json({{"ref", "other"}, {"digest", digest.to_string()}, {"existed", true}}));
    CHECK(again.code == 0);
    CHECK(control.world.memory->ingest_count() == 0);
  }
}

TEST_CASE("ingest takes a file, and the empty blob") {
  Control control;
  const std::string path = control.world.dir / "blob";
  const std::string big(3'500'000, 'x');
  write_file(path, big);
  const Result result = control.ctl({"content", "ingest", "ref", path, "--format", "json"});
  CHECK(result.json() == Json({{"ref", "ref"}, {"digest", digest_of(big).to_string()}, {"existed", false}}));
  CHECK(control.world.read(digest_of(big)) == big);
  check_out(control.ctl({"content", "ingest", "empty"}), digest_of("").to_string() + "\n");
  check_failed(control.ctl({"content", "ingest", "ref", path + "-not"}), 1, path + "-not: No such file");
}

TEST_CASE("ingest refuses bytes that are not the expected ones") {
  Control control;
  check_failed(control.ctl_with("hello", {"content", "ingest", "r", "--expected-digest", kUnknown}), 1,
               "ipcsctl: ingest ref \"r\": wrong digest; the ingest stays, `ipcsctl content abort r` "
               "drops it");
  check_failed(control.ctl_with("hello", {"content", "ingest", "s", "--expected-size", "6"}), 1, "size");
  CHECK_FALSE(control.world.memory->has(digest_of("hello").to_string()));
}

TEST_CASE("ingest looks at the size of what is stored already") {
  Control control;
  const std::string digest = digest_of("hello").to_string();
  check_out(control.ctl_with("hello", {"content", "ingest", "r"}), digest + "\n");
  const Result again = control.ctl({"content", "ingest", "r", "--expected-digest", digest, "--expected-size", "5"});
  CHECK(again.code == 0);
  CHECK(again.out == digest + "\n");
  check_failed(control.ctl({"content", "ingest", "r", "--expected-digest", digest, "--expected-size", "6"}), 1,
               "is stored already, and has 5 bytes, not 6");
}

TEST_CASE("ingest does not wait longer for its input than the request may take") {
  Control control;
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  REQUIRE(::write(ends[1], "hel", 3) == 3);
  const auto begun = std::chrono::steady_clock::now();
  Run run(control.world.dir, control.addressed({"content", "ingest", "ref", "--timeout", "1s"}), ends[0]);
  check_failed(run.wait(), 1, "the request was not done in 1s (--timeout sets another limit)");
  CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(20));
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_CASE("ingest goes on where it was interrupted, or begins anew with other bytes") {
  Control control;
  std::string big;
  for (int i = 0; i < 700'000; ++i) big += "line" + std::to_string(i % 10);
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  {
    Run run(control.world.dir, control.addressed({"content", "ingest", "ref"}), ends[0]);
    ::signal(SIGPIPE, SIG_IGN);  // a run that ends too early shall fail the checks below, not the whole test
    ssize_t written = 0;
    std::thread writer([&] { written = ::write(ends[1], big.data(), 2'500'000); });
    // Two full messages have arrived; the rest of the input does not come.
    CHECK(eventually([&] {
      const auto all =
          control.world.content->list_statuses(control.world.call, control.world.op, content::Filter::parse({}));
      return all.size() == 1 && all[0].offset == 2 << 20;
    }));
    writer.join();  // the program has read what is less than a message, or the pipe holds it
    run.kill(SIGINT);
    ::close(ends[0]);
    const Result result = run.wait();
    CHECK(written == 2'500'000);
    CHECK(result.signal == SIGINT);
    CHECK(result.out == "");
    CHECK_THAT(result.err, Contains("goes on from there\n") && Catch::EndsWith("ipcsctl: interrupted\n"));
  }
  SECTION("the same bytes") {
    const Result result = control.ctl_with(big, {"content", "ingest", "ref"});
    CHECK(result.out == digest_of(big).to_string() + "\n");
    CHECK_THAT(result.err, Contains("goes on after 2.097MB"));
  }
  SECTION("other bytes from a file") {
    const std::string other = "!" + big;
    check_out(control.ctl_with(other, {"content", "ingest", "ref"}), digest_of(other).to_string() + "\n");
    CHECK(control.world.read(digest_of(other)) == other);
  }
  SECTION("fewer bytes, none even") {
    check_out(control.ctl({"content", "ingest", "ref"}), digest_of("").to_string() + "\n");
  }
  SECTION("other bytes from a pipe: they can't be read twice") {
    int again[2];
    REQUIRE(::pipe2(again, O_CLOEXEC) == 0);
    REQUIRE(::write(again[1], "other", 5) == 5);
    ::close(again[1]);
    check_failed(control.ctl({"content", "ingest", "ref"}, again[0]), 1, "`ipcsctl content abort` drops them");
    ::close(again[0]);
  }
  ::close(ends[1]);
}

TEST_CASE("get writes the bytes, and tells when they are wrong") {
  Control control;
  const std::string big(5'000'000, 'y');
  const oci::Digest digest = control.world.put(control.world.op, big);
  check_out(control.ctl({"content", "get", digest.to_string()}), big);
  check_failed(control.ctl({"content", "get", kUnknown}), 1, "content " + kUnknown + ": not found");

  const oci::Digest other = control.world.put(control.world.op, "right");
  control.world.memory->put(other.to_string(), bytes_of("wrong"));
  check_failed(control.ctl({"content", "get", other.to_string()}), 1, "ipcsctl verify " + other.to_string());
}

TEST_CASE("ls and info show blobs") {
  Control control;
  const content::Labels labels{{"k", "v"}, {"evil", "\x1b[2J"}};
  const std::string a = control.world.put(control.world.a, "one", &labels).to_string();
  const std::string b = control.world.put(control.world.op, "three", &labels).to_string();

  const Result list = control.ctl({"content", "ls"});
  CHECK_THAT(list.out, StartsWith("DIGEST"));
  CHECK_THAT(list.out, Contains(a + "    3B  ") && Contains(b + "    5B  ") && Contains("  evil=\\x1b[2J,k=v\n"));
  CHECK(list.err == "");
  check_out(control.ctl({"content", "ls", "digest==" + b, "-q"}), b + "\n");

  const Json json = control.ctl({"content", "list", "digest==" + b, "--format=json"}).json();
  REQUIRE(json.size() == 1);
  CHECK(json[0]["digest"] == b);
  CHECK(json[0]["size"] == 5);
  CHECK(json[0]["labels"] == Json({{"evil", "\x1b[2J"}, {"k", "v"}}));
  CHECK_THAT(json[0]["created_at"].get<std::string>(), StartsWith("1970-01-01T00:00:01.") && Catch::EndsWith("Z"));
  Json info = json[0];
  info["held_by"] = {{"pinned", true}, {"pin_owners", {"operator"}}, {"clients", Json::array()}};
  CHECK(control.ctl({"content", "info", b, "--format=json"}).json() == info);

  CHECK_THAT(control.ctl({"content", "info", b}).out, StartsWith("digest:   " + b + "\n") && Contains("5B (5 bytes)"));
}

TEST_CASE("a wrong filter is the daemon's to refuse") {
  Control control;
  const Result result = control.ctl({"content", "ls", "digest=x"});
  check_failed(result, 1, "unsupported operator \"=\"");
  CHECK(result.out == "");
}

TEST_CASE("label sets and removes") {
  Control control;
  const std::string digest = control.world.put(control.world.op, "x").to_string();
  check_out(control.ctl({"content", "label", digest, "b=2", "a=1=1"}), "a=1=1,b=2\n");
  check_out(control.ctl({"content", "label", digest, "b="}), "a=1=1\n");
  CHECK(control.ctl({"content", "label", digest, "a=", "--format=json"}).json()["labels"] == Json::object());
  check_failed(control.ctl({"content", "label", digest, "a"}), 2, "KEY=VALUE");
  check_failed(control.ctl({"content", "label", kUnknown, "a=b"}), 1, "not found");
}

TEST_CASE("rm drops the operator's hold") {
  Control control;
  const std::string own = control.world.put(control.world.op, "own").to_string();
  const oci::Digest both = control.world.put(control.world.op, "both");
  control.world.content->info(control.world.call, control.world.a, both);

  const Result result = control.ctl({"content", "rm", own, kUnknown, both.to_string()});
  CHECK(result.out == own + "\n" + both.to_string() + "\n");
  CHECK_THAT(result.err, Contains("ipcsctl: content " + kUnknown + ": not found\n") &&
                             Contains(both.to_string() + ": client a still holds it, so its bytes stay\n"));
  CHECK(result.code == 1);
  CHECK_FALSE(control.world.memory->has(own));
  CHECK(control.world.memory->has(both.to_string()));
  CHECK_FALSE(control.world.catalog->pinned(both));

  SECTION("and tells which clients hold the blob") {
    control.world.content->pin(control.world.call, both, {});
    control.world.content->info(control.world.call, control.world.b, both);
    CHECK_THAT(control.ctl({"content", "info", both.to_string()}).out,
               Contains("held by:  the operator (pinned), clients a, b\n"));
    const Result again = control.ctl({"content", "rm", both.to_string(), "--format=json"});
    CHECK(again.json() ==
          Json::array({{{"digest", both.to_string()}, {"kept", true}, {"clients", Json::array({"a", "b"})}, {"pin_owners", Json::array()}}}));
    CHECK(again.err == both.to_string() + ": clients a, b still hold it, so its bytes stay\n");
    CHECK(again.code == 0);
    CHECK(control.ctl({"content", "info", both.to_string(), "--format=json"}).json()["held_by"] ==
          Json({{"pinned", false}, {"pin_owners", Json::array()}, {"clients", Json::array({"a", "b"})}}));
  }
  SECTION("also on a blob whose bytes are lost") {
    const oci::Digest lost = control.world.put(control.world.op, "lost");
    control.world.memory->drop(lost.to_string());
    check_out(control.ctl({"content", "rm", lost.to_string(), "-q"}), lost.to_string() + "\n");
    CHECK_FALSE(control.world.catalog->pinned(lost));
  }
}

TEST_CASE("active and abort") {
  Control control;
  World& world = control.world;
  {
    content::Writer one = world.content->open_writer(world.call, world.a, "layer-1", 10, {});
    one.write(world.call, bytes_of("12345"));
    content::Writer two = world.content->open_writer(world.call, world.op, "mine\n", 0, {});
  }
  CHECK_THAT(control.ctl({"content", "active"}).out,
             Matches("REF +SIZE +TOTAL +AGE\nlayer-1 +5B +10B +\\d+ \\w+\nmine\\\\x0a +0B +- +\\d+ \\w+\n"));
  check_out(control.ctl({"content", "active", "-q", "--prefix", "lay"}), "layer-1\n");
  check_out(control.ctl({"content", "active", "-q", "ref~=/^mine/"}), "mine\\x0a\n");
  const Json json = control.ctl({"content", "active", "--format", "json", "--prefix=layer"}).json();
  REQUIRE(json.size() == 1);
  CHECK(json[0]["offset"] == 5);
  CHECK(json[0]["total"] == 10);

  const Result result = control.ctl({"content", "abort", "layer-1", "nothing", "mine\n"});
  check_failed(result, 1, "\"nothing\": not found");
  CHECK(world.memory->ingest_count() == 0);
}

}  // namespace
}  // namespace ipcs::test
