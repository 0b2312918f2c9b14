// What decides who we are and where we go: challenges, docker's config.json, credential programs, URLs, proxies,
// Retry-After.
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <cstdlib>

#include "host/oci/sample.hpp"
#include "host/oci/temporary.hpp"
#include "oci/challenge.hpp"
#include "oci/credentials.hpp"
#include "oci/proxy.hpp"
#include "oci/retry.hpp"
#include "oci/text.hpp"
#include "oci/url.hpp"

using namespace ipcs::oci;
using namespace ipcs::oci::test;
using ipcs::Code;

namespace {

const Call kCall;

// An environment variable, as long as a test lives.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old;
    ::setenv(name, value.c_str(), 1);
  }
  ~Variable() { old_ ? ::setenv(name_, old_->c_str(), 1) : ::unsetenv(name_); }

 private:
  const char* name_;
  std::optional<std::string> old_;
};

}  // namespace

TEST_CASE("challenges") {
  auto all = parse_challenges(
      R"(Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push")");
  REQUIRE(all.size() == 1);
  CHECK(all[0].scheme == "bearer");
  CHECK(all[0].parameter("realm") == "https://auth.docker.io/token");
  CHECK(all[0].parameter("scope") == "repository:a/b:pull,push");
  CHECK(all[0].parameter("none").empty());

  all = parse_challenges(
      "Negotiate, BASIC Realm = \"a \\\"b\\\\\" , charset=UTF-8, bearer realm=https://x/y?z,service=s");
  REQUIRE(all.size() == 3);
  CHECK(all[0].scheme == "negotiate");
  CHECK(all[1].scheme == "basic");
  CHECK(all[1].parameter("realm") == "a \"b\\");
  CHECK(all[1].parameter("charset") == "UTF-8");
  CHECK(all[2].parameter("realm") == "https://x/y?z");
  CHECK(all[2].parameter("service") == "s");

  CHECK(parse_challenges("").empty());
  CHECK(parse_challenges(" , ,").empty());
  CHECK(parse_challenges("\"x\"").empty());
  CHECK(parse_challenges("Bearer realm=\"never closed").empty());
  CHECK(parse_challenges("Basic realm=\"a\", Bearer realm=\"never closed").size() == 1);
  CHECK(parse_challenges(std::string("Basic \0 realm=x", 15)).size() == 1);
  std::string many;
  for (int i = 0; i < 1000; ++i) many += "Basic a=b, ";
  CHECK(parse_challenges(many).size() == 16);
}

TEST_CASE("docker's config.json") {
  const DockerConfig config = DockerConfig::parse(R"({"auths":{
      "https://index.docker.io/v1/":{"auth":"bWU6YTpi"},
      "localhost:5000":{"username":"u","password":"p"},
      "https://ghcr.io":{"auth":"bWU6eA=="},
      "https://Quay.io/v2/":{"identitytoken":"id","auth":"bWU6"},
      "r.example":{"registrytoken":"rt"},
      "padded":{"auth":"bWU6cAAA"},
      "empty":{}},
    "credHelpers":{"gcr.io":"gcloud","https://index.docker.io/v1/":"special"},
    "credsStore":"pass","HttpHeaders":{"x":1}})",
                                                  "config.json");
  for (const std::string docker : {"docker.io", "registry-1.docker.io", "index.docker.io"}) {
    CHECK(config.stored(docker).username == "me");
    CHECK(config.stored(docker).password == "a:b");
    CHECK(config.program(docker) == "special");
    CHECK(server_name(docker) == "https://index.docker.io/v1/");
  }
  CHECK(config.stored("localhost:5000").password == "p");
  CHECK(config.stored("localhost").empty());
  CHECK(config.stored("ghcr.io").password == "x");
  CHECK(config.stored("quay.io").identity_token == "id");
  CHECK(config.stored("r.example").registry_token == "rt");
  CHECK(config.stored("padded").password == "p");
  CHECK(config.stored("empty").empty());
  CHECK(config.program("gcr.io") == "gcloud");
  CHECK(config.program("localhost:5000") == "pass");
  CHECK(server_name("localhost:5000") == "localhost:5000");

  for (const auto& [text, part] : {std::pair("", "config.json: "),
                                   {"[]", "not an object"},
                                   {R"({"auths":[]})", "\"auths\" is not an object"},
                                   {R"({"auths":{"h":7}})", "auths: h: not an object"},
                                   {R"({"auths":{"h":{"auth":"%%%"}}})", "not base64"},
                                   {R"({"auths":{"h":{"auth":"bWU"}}})", "has no ':'"},
                                   {R"({"auths":{"h":{"auth":1}}})", "not a string"},
                                   {R"({"credHelpers":{"h":1}})", "not a string"},
                                   {R"({"credsStore":{}})", "not a string"}}) {
    INFO(text);
    std::string message;
    CHECK(failure([&] { DockerConfig::parse(text, "config.json"); }, &message) == Code::kInvalidArgument);
    CHECK_THAT(message, Catch::Contains(part));
  }
  // A mistake beside a secret does not show it.
  std::string message;
  failure([&] { DockerConfig::parse(R"({"auths":{"h":{"auth":"c2VjcmV0"}}})", "c"); }, &message);
  CHECK_THAT(message, !Catch::Contains("c2VjcmV0") && !Catch::Contains("secret"));
}

TEST_CASE("where config.json is looked for") {
  Temporary temporary;
  const Variable home("HOME", temporary.path);
  const Variable directory("DOCKER_CONFIG", "");
  CHECK(DockerConfig::load().stored("h").empty());
  write(temporary.path / ".docker/config.json", R"({"auths":{"h":{"auth":"aG9tZTp4"}}})");
  CHECK(DockerConfig::load().stored("h").username == "home");
  const Variable other("DOCKER_CONFIG", temporary.path / "other");
  CHECK(DockerConfig::load().stored("h").empty());
  write(temporary.path / "other/config.json", "{");
  std::string message;
  CHECK(failure([] { DockerConfig::load(); }, &message) == Code::kInvalidArgument);
  CHECK_THAT(message, Catch::StartsWith((temporary.path / "other/config.json").string()));
}

TEST_CASE("credential programs") {
  Temporary temporary;
  const Variable path("PATH", temporary.path.string() + ":/usr/bin:/bin");
  const auto program = [&](const std::string& name, const std::string& script) {
    const auto file = temporary.path / ("docker-credential-" + name);
    write(file, "#!/bin/sh\n" + script);
    ::chmod(file.c_str(), 0755);
  };
  program("good",
          R"(read -r server; echo "{\"ServerURL\":\"$server\",\"Username\":\"$1\",\"Secret\":\"for $server\"}")");
  program("token", R"(echo '{"Username":"<token>","Secret":"id"}')");
  program("none", "echo 'credentials not found in native keychain'; exit 1");
  program("bad", "echo 'keychain is locked'; exit 1");
  program("nonsense", "echo 'hello'");
  program("deaf", R"(exec <&-; echo '{"Username":"u","Secret":"s"}')");
  program("endless", "while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done");
  program("hanging", "exec sleep 100");

  const Credentials good = ask_credential_program("good", "localhost:5000", kCall);
  CHECK(good.username == "get");
  CHECK(good.password == "for localhost:5000");
  CHECK(ask_credential_program("good", "docker.io", kCall).password == "for https://index.docker.io/v1/");
  CHECK(ask_credential_program("token", "h", kCall).identity_token == "id");
  CHECK(ask_credential_program("none", "h", kCall).empty());
  CHECK(ask_credential_program("deaf", "h", kCall).username == "u");
  std::string message;
  CHECK(failure([&] { ask_credential_program("bad", "h", kCall); }, &message) == Code::kFailedPrecondition);
  CHECK(message == "docker-credential-bad: keychain is locked");
  CHECK(failure([&] { ask_credential_program("nonsense", "h", kCall); }, &message) == Code::kFailedPrecondition);
  CHECK(failure([&] { ask_credential_program("endless", "h", kCall); }, &message) == Code::kFailedPrecondition);
  CHECK(failure([&] { ask_credential_program("missing", "h", kCall); }, &message) == Code::kFailedPrecondition);
  CHECK(message == "docker-credential-missing: No such file or directory");
  CHECK(failure([&] { ask_credential_program("../evil", "h", kCall); }) == Code::kInvalidArgument);
  CHECK(failure([&] { ask_credential_program("", "h", kCall); }) == Code::kInvalidArgument);
  CHECK(failure([&] { ask_credential_program("hanging", "h", Call::within(std::chrono::milliseconds(200))); }) ==
        Code::kDeadlineExceeded);

  const DockerConfig config = DockerConfig::parse(
      R"({"auths":{"h":{"username":"stored","password":"x"}},"credsStore":"none","credHelpers":{"special":"good"}})",
      "c");
  CHECK(find_credentials(config, "h", kCall).username == "stored");
  CHECK(find_credentials(config, "special", kCall).username == "get");
  CHECK(find_credentials(config, "other", kCall).empty());
}

TEST_CASE("URLs") {
  const Url url = Url::parse("HTTPS://user:p%40ss@Registry.Example:8443/v2/a%2Fb?x=%2B&y=a+b#fragment");
  CHECK(url.scheme == "https");
  CHECK(url.host == "registry.example");
  CHECK(url.port == 8443);
  CHECK(url.user_info == "user:p%40ss");
  CHECK(url.target == "/v2/a%2Fb?x=%2B&y=a+b");
  CHECK(url.to_string() == "https://registry.example:8443/v2/a%2Fb?x=%2B&y=a+b");
  CHECK(url.shown() == "https://registry.example:8443/v2/a%2Fb");
  CHECK(Url::parse("http://[::1]:5000").authority() == "[::1]:5000");
  CHECK(Url::parse("http://[::1]").host == "::1");
  CHECK(Url::parse("https://h").port == 443);
  CHECK(Url::parse("https://h:443/x").authority() == "h");
  CHECK(Url::parse("http://h?q").target == "/?q");
  CHECK(url.resolve("/x?y").to_string() == "https://registry.example:8443/x?y");
  CHECK(url.resolve("x").target == "/v2/x");
  CHECK(url.resolve("?z").target == "/v2/a%2Fb?z");
  CHECK(url.resolve("//other/x").to_string() == "https://other/x");
  CHECK(url.resolve("http://other:1/x:y").to_string() == "http://other:1/x:y");
  CHECK(url.resolve("/a:b").target == "/a:b");
  for (const std::string bad :
       {"", "h", "/x", "ftp://h/", "http://", "http:///x", "http://h:0/", "http://h:65536/", "http://h:x/",
        "http://h:1:2/", "http://[::1/", "http://a b/", "http://h/\r\nX: y", "javascript:x", "http://h/\xc3\xa9"}) {
    INFO(bad);
    CHECK(failure([&] { Url::parse(bad); }) == Code::kInvalidArgument);
  }
  CHECK(failure([&] { url.resolve("gopher:x"); }) == Code::kInvalidArgument);
  CHECK(is_loopback("localhost"));
  CHECK(is_loopback("127.1.2.3"));
  CHECK(is_loopback("::1"));
  CHECK_FALSE(is_loopback("127.evil.example"));
  CHECK_FALSE(is_loopback("localhost.example"));
  CHECK(percent_encode("a b/+é~") == "a%20b%2F%2B%C3%A9~");
  CHECK(percent_decode("a%20b%2f%zz%") == "a b/%zz%");
}

TEST_CASE("proxies") {
  std::map<std::string, std::string> variables{
      {"HTTPS_PROXY", "http://u:p%40@proxy:3128"},
      {"http_proxy", "plain:80"},
      {"NO_PROXY", "a.example, .b.example ,10.0.0.0/8,c.example:5000,192.168.1.7,[x],fd00::/8,*.d.example"}};
  const auto variable = [&](const std::string& name) { return variables[name]; };
  const Proxies proxies(variable);
  const auto proxy = [&](const std::string& url) {
    const auto found = proxies.for_url(Url::parse(url));
    return found ? found->authority() : "";
  };
  CHECK(proxy("https://registry.example/") == "proxy:3128");
  CHECK(proxies.for_url(Url::parse("https://x/"))->user_info == "u:p%40");
  CHECK(proxy("http://registry.example/") == "plain");
  for (const std::string direct :
       {"https://a.example/", "https://x.a.example/", "https://x.b.example/", "https://10.1.2.3/",
        "https://c.example:5000/", "https://192.168.1.7/", "https://[fd00::1]/", "https://y.d.example/",
        "http://localhost:5000/", "http://127.0.0.1/", "https://[::1]/"}) {
    INFO(direct);
    CHECK(proxy(direct).empty());
  }
  for (const std::string through :
       {"https://b.example/", "https://nota.example/", "https://11.1.2.3/", "https://c.example/",
        "https://192.168.1.8/", "https://[fc00::1]/", "https://d.example/"}) {
    INFO(through);
    CHECK(proxy(through) == "proxy:3128");
  }
  variables["NO_PROXY"] = "*";
  CHECK_FALSE(Proxies(variable).for_url(Url::parse("https://x/")));
  CHECK_FALSE(Proxies().for_url(Url::parse("https://x/")));
  variables["HTTPS_PROXY"] = "socks5://x";
  std::string message;
  CHECK(failure([&] { Proxies p(variable); }, &message) == Code::kInvalidArgument);
  CHECK_THAT(message, Catch::StartsWith("HTTPS_PROXY: "));
}

TEST_CASE("Retry-After") {
  using namespace std::chrono;
  const auto now = system_clock::from_time_t(1'700'000'000);  // 2023-11-14 22:13:20 UTC
  CHECK(parse_retry_after("7", now) == seconds(7));
  CHECK(parse_retry_after("Tue, 14 Nov 2023 22:14:00 GMT", now) == seconds(40));
  CHECK(parse_retry_after("Tue, 14 Nov 2023 22:00:00 GMT", now) == seconds(0));
  CHECK(parse_retry_after("99999999999999999999", now) == seconds(999'999'999));
  for (const std::string none : {"", "soon", "-1", "1.5", "Tue, 99 Nov 2023"})
    CHECK_FALSE(parse_retry_after(none, now));
}

TEST_CASE("base64") {
  for (const auto& [plain, encoded] : {std::pair("", ""),
                                       {"f", "Zg=="},
                                       {"fo", "Zm8="},
                                       {"foo", "Zm9v"},
                                       {"foob", "Zm9vYg=="},
                                       {"fooba", "Zm9vYmE="},
                                       {"foobar", "Zm9vYmFy"}}) {
    CHECK(base64_encode(plain) == encoded);
    CHECK(base64_decode(encoded) == plain);
  }
  CHECK(base64_decode("Zg") == "f");
  for (const std::string bad : {"Z", "Zm9v!", "Zm 9v", "Z=g="})
    CHECK(failure([&] { base64_decode(bad); }) == Code::kInvalidArgument);
}
