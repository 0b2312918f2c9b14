// What ipcsctl says when the command line, the socket or the world around it does not fit; and shell completion.
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <sstream>

#include "fixture.hpp"

namespace ipcs::test {
namespace {

using Catch::Contains;
using Catch::StartsWith;

TEST_CASE("a command line that makes no sense is a matter of usage") {
  const TempDir dir;
  const auto refused = [&](std::vector<std::string> args, const std::string& text) {
    const Result result = Run(dir, std::move(args)).wait();
    check_failed(result, 2, text);
    CHECK(result.out == "");
  };
  refused({}, "ipcsctl: wants one of: content, image, pin, client, verify, df, status, backend, cid, plugin, completion, version");
  refused({"-a"}, "--address: 1 required SOCKET missing");
  refused({"status", "-a", ""}, "--address: it must not be empty");
  refused({"content", "ingest", ""}, "REF: it must not be empty");
  refused({"content", "ingest", "ref", "--expected-size", "-1"}, "--expected-size: \"-1\" is no number of bytes");
  refused({"content", "ingest", "ref", "--expected-size", "1k"}, "\"1k\" is no number of bytes");
  refused({"content"}, "ipcsctl: content: wants one of: ls, get, ingest, active, abort, label, info, rm");
  refused({"contnet", "ls"}, "unknown verb \"contnet\" (did you mean \"content\"?)");
  refused({"content", "inject"}, "ipcsctl: content: unknown verb \"inject\" (did you mean \"ingest\"?)");
  refused({"content", "ls", "--formta", "json"}, "unknown flag \"--formta\" (did you mean \"--format\"?)");
  refused({"pin", "add", "sha256:x", "--note=1"}, "sha256:x");
  refused({"pin", "ls", "more"}, "one argument too many: \"more\"");
  refused({"content", "ls", "--format", "yaml"}, "yaml");
  refused({"content", "ls", "--format", "JSON"}, "JSON");
  refused({"status", "--timeout", "soon"}, "\"soon\" is no time");
  refused({"content", "get"}, "DIGEST");
  refused({"content", "ingest", "r", "--expected-size", "many"}, "many");
  refused({"completion", "tcsh"}, "tcsh");
  refused({"content", "ingest", "a\xff"}, "\"a\\xff\" is not UTF-8");
}

TEST_CASE("words that are verbs elsewhere are arguments too") {
  Control control;
  check_out(control.ctl_with("x", {"content", "ingest", "status"}), digest_of("x").to_string() + "\n");
  check_out(control.ctl({"content", "ls", "pin", "-q"}), "");
}

TEST_CASE("help goes to standard output") {
  const TempDir dir;
  const Result result = Run(dir, {"content", "--help"}).wait();
  CHECK(result.code == 0);
  CHECK(result.err == "");
  CHECK_THAT(result.out, Contains("ingest") && Contains("drop the operator's hold"));
}

TEST_CASE("nobody listens") {
  const TempDir dir;
  const std::string absent = dir / "absent.sock";
  check_failed(Run(dir, {"status", "-a", absent}).wait(), 1,
               "ipcsd is not listening on " + absent + ": there is no such socket: is it running? (-a names another one)");
  check_failed(Run(dir, {"-a", "unix://" + absent, "df"}).wait(), 1, "is not listening on " + absent + ":");
  write_file(absent, "");
  check_failed(Run(dir, {"status", "-a", absent}).wait(), 1, absent + ": not a socket (-a wants ipcsd's control socket)");
  check_failed(Run(dir, {"status", "-a", absent + "/below"}).wait(), 1, "is not listening on " + absent + "/below: there is no");
  check_failed(Run(dir, {"status", "-a", "/"}).wait(), 1, "/: not a socket (");
  // A server that ended without removing its socket, and one of another kind.
  for (const auto& [type, text] : {std::pair(SOCK_STREAM, "ipcsd is not listening on "), {SOCK_DGRAM, ": not a socket of ipcsd's kind"}}) {
    const std::string path = dir / ("socket-" + std::to_string(type));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    const int fd = ::socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    REQUIRE(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    if (type == SOCK_STREAM) ::close(fd);
    const Result result = Run(dir, {"status", "-a", path}).wait();
    check_failed(result, 1, text);
    CHECK_THAT(result.err, Contains(path));
    if (type != SOCK_STREAM) ::close(fd);
  }
  check_failed(Run(dir, {"status", "-a", std::string(200, 'x')}).wait(), 1, "is no socket path");

  SECTION("where it looks when no socket is named") {
    check_failed(Run(dir, {"status"}, -1, -1, {"IPCS_CONTROL=/nowhere/c.sock"}).wait(), 1, "on /nowhere/c.sock:");
    check_failed(Run(dir, {"status"}, -1, -1, {"IPCS_ROOT=/nowhere"}).wait(), 1, "on /nowhere/control.sock:");
  }
  SECTION("several names: the first failure says it all") {
    check_failed(Run(dir, {"-a", absent, "content", "abort", "a", "b", "c"}).wait(), 1, "not a socket");
  }
}

TEST_CASE("a socket that is not ipcsd's control socket") {
  World world;
  service::ContentService content(*world.content, world.a);
  service::Lanes lanes;
  const std::string socket = world.dir / "containerd.sock";
  const auto server = service::Server::start({socket, {}, {}, 0600}, {content.methods(), {}}, lanes, log::Log::none());
  check_failed(Run(world.dir, {"-a", socket, "status"}).wait(), 1, socket + " is not ipcsd's control socket");
}

TEST_CASE("a socket that may not be used") {
  Control control;
  REQUIRE(::chmod(control.socket.c_str(), 0) == 0);
  const Result result = control.ctl({"status"});
  // Nothing is forbidden to root.
  if (::geteuid() == 0) {
    CHECK(result.code == 0);
  } else {
    check_failed(result, 1, control.socket + ": permission denied: run ipcsctl as the socket's owner");
  }
}

TEST_CASE("results that can't be written are a failure") {
  Control control;
  control.world.put(control.world.op, std::string(2'000'000, 'x'));
  const std::string digest = digest_of(std::string(2'000'000, 'x')).to_string();
  const std::string command = IPCS_BIN_DIR "/ipcsctl -a " + control.socket + " ";
  const std::string err = control.world.dir / "full-err";
  for (const std::string& verb : {std::string("content ls"), "content get " + digest}) {
    const int status = std::system((command + verb + " > /dev/full 2> " + err).c_str());
    CHECK(WEXITSTATUS(status) == 1);
    CHECK(file_text(err) == "ipcsctl: standard output: No space left on device\n");
  }
  const auto fails = [&](const std::string& line, const std::string& reason) {
    const int status = std::system((line + " 2> " + err).c_str());
    CHECK(WEXITSTATUS(status) == 1);
    CHECK(file_text(err) == "ipcsctl: standard " + reason + "\n");
  };
  fails(IPCS_BIN_DIR "/ipcsctl --help > /dev/full", "output: No space left on device");
  fails(IPCS_BIN_DIR "/ipcsctl --version > /dev/full", "output: No space left on device");
  // A closed stream does not become the socket to ipcsd.
  fails(command + "content ls >&-", "output: Bad file descriptor");
  fails(command + "content get " + digest + " >&-", "output: Bad file descriptor");
  fails(command + "content ingest closed <&- > /dev/null", "input: Bad file descriptor");
  CHECK(WEXITSTATUS(std::system((command + "content ls -q 2>&- > " + err).c_str())) == 0);
  CHECK(file_text(err) == digest + "\n");
}

TEST_CASE("a reader that has enough ends the program by SIGPIPE, in silence") {
  Control control;
  control.world.put(control.world.op, std::string(2'000'000, 'x'));
  const std::string digest = digest_of(std::string(2'000'000, 'x')).to_string(), err = control.world.dir / "pipe-err";
  const std::string command = "bash -c '" IPCS_BIN_DIR "/ipcsctl -a " + control.socket + " content get " + digest + " 2> " +
                              err + " | head -c 1 > /dev/null; exit ${PIPESTATUS[0]}'";
  CHECK(WEXITSTATUS(std::system(command.c_str())) == 128 + SIGPIPE);
  CHECK(file_text(err) == "");
}

// What bash offers after these words.
std::string completed(const TempDir& dir, const std::string& words, int at) {
  write_file(dir / "words", "source <(" IPCS_BIN_DIR "/ipcsctl completion bash)\nCOMP_WORDS=(" + words +
                                ")\nCOMP_CWORD=" + std::to_string(at) + "\n_ipcsctl\necho \"${COMPREPLY[*]}\"\n");
  const std::string command = "cd / && bash " + (dir / "words") + " > " + (dir / "offered") + " 2>&1";
  CHECK(std::system(command.c_str()) == 0);
  return file_text(dir / "offered");
}

TEST_CASE("bash completes verbs, flags and their values") {
  const TempDir dir;
  CHECK(completed(dir, "ipcsctl ''", 1) == "content image pin client verify df status backend cid plugin completion version\n");
  CHECK(completed(dir, "ipcsctl content a", 2) == "active abort\n");
  CHECK(completed(dir, "ipcsctl backend ''", 2) == "status copy repair\n");
  CHECK(completed(dir, "ipcsctl client ''", 2) == "ls rm\n");
  CHECK(completed(dir, "ipcsctl -a content content l", 4) == "ls label\n");
  CHECK(completed(dir, "ipcsctl --format ''", 2) == "table json\n");
  CHECK(completed(dir, "ipcsctl pin add --n", 3) == "--note --no-progress\n");
  CHECK(completed(dir, "ipcsctl completion ''", 2) == "bash zsh fish\n");
  CHECK(completed(dir, "ipcsctl -a /et", 2) == "/etc\n");
  CHECK(completed(dir, "ipcsctl content ingest ref /et", 4) == "/etc\n");
  CHECK(completed(dir, "ipcsctl content info /et", 3) == "\n");
  CHECK(completed(dir, "ipcsctl --timeout /et", 2) == "\n");
  // As bash splits "--format=" and "--format=t".
  CHECK(completed(dir, "ipcsctl --format =", 2) == "table json\n");
  CHECK(completed(dir, "ipcsctl --format = t", 3) == "table\n");
  CHECK(completed(dir, "ipcsctl --format = json content a", 5) == "active abort\n");
}

TEST_CASE("the other shells get every verb and flag too") {
  const TempDir dir;
  const std::string zsh = Run(dir, {"completion", "zsh"}).wait().out,
                    fish = Run(dir, {"completion", "fish"}).wait().out;
  CHECK_THAT(zsh,
             StartsWith("#compdef ipcsctl\n") && Contains("'ingest:store a blob and pin it") && Contains("'--note:"));
  CHECK_THAT(zsh, Contains("operator'\\''s"));
  CHECK_THAT(fish, Contains("_at 'content'\" -a ingest -d 'store a blob") && Contains("_at 'pin add'\" -l note"));
  CHECK_THAT(fish, Contains("operator\\'s"));
}

// What a shell prints that runs `script`, which must end well. Its home is `dir`.
std::string printed(const TempDir& dir, const std::string& shell, const std::string& script) {
  write_file(dir / "script", script);
  const std::string command = "env HOME=" + (dir / "") + " " + shell + " " + (dir / "script") + " > " + (dir / "printed") + " 2>&1";
  const int status = std::system(command.c_str());
  const std::string text = file_text(dir / "printed");
  CAPTURE(shell, text);
  CHECK(status == 0);
  return text;
}

TEST_CASE("zsh and fish read their scripts") {
  const TempDir dir;
  for (const std::string shell : {"bash", "zsh", "fish"}) {
    const std::string script = Run(dir, {"completion", shell}).wait().out;
    CHECK(printed(dir, shell + " -n", script) == "");
  }
  CHECK(printed(dir, "zsh -f", "autoload -U compinit && compinit -D\nsource <(" IPCS_BIN_DIR
                               "/ipcsctl completion zsh)\necho $_comps[ipcsctl]\n") == "_ipcsctl\n");
}

TEST_CASE("fish completes verbs, flags and their values") {
  const TempDir dir;
  const auto offered = [&](const std::string& line) {
    std::string words;
    std::istringstream lines(printed(dir, "fish --no-config", IPCS_BIN_DIR "/ipcsctl completion fish | source\n"
                                                              "complete -C '" + line + "'\n"));
    for (std::string each; std::getline(lines, each);) words += each.substr(0, each.find('\t')) + ' ';
    return words;
  };
  CHECK(offered("ipcsctl content i") == "info ingest ");
  CHECK(offered("ipcsctl backend ") == "copy repair status ");
  CHECK(offered("ipcsctl -a content content l") == "label ls ");
  CHECK(offered("ipcsctl --format ") == "json table ");
  CHECK(offered("ipcsctl pin add --n") == "--note --no-progress ");
  CHECK(offered("ipcsctl completion ") == "bash fish zsh ");
  CHECK(offered("ipcsctl content ingest ref /et") == "/etc/ ");
}

}  // namespace
}  // namespace ipcs::test
