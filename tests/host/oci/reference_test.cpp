// Image names as people write them, and what they stand for.
#include "oci/reference.hpp"

#include <catch2/catch.hpp>

#include "host/oci/sample.hpp"

using namespace ipcs::oci;
using ipcs::Code;
using ipcs::oci::test::failure;

namespace {

const std::string kDigest = "sha256:" + std::string(64, 'a');

std::string refusal(const std::string& text) {
  std::string message;
  CHECK(failure([&] { Reference::parse(text); }, &message) == Code::kInvalidArgument);
  return message;
}

}  // namespace

TEST_CASE("names and their defaults") {
  const std::vector<std::tuple<std::string, std::string, std::string>> names{
      {"alpine", "docker.io/library/alpine:latest", "registry-1.docker.io"},
      {"alpine:3.20", "docker.io/library/alpine:3.20", "registry-1.docker.io"},
      {"alpine@" + kDigest, "docker.io/library/alpine@" + kDigest, "registry-1.docker.io"},
      {"alpine:3.20@" + kDigest, "docker.io/library/alpine:3.20@" + kDigest, "registry-1.docker.io"},
      {"docker.io/alpine", "docker.io/library/alpine:latest", "registry-1.docker.io"},
      {"index.docker.io/alpine", "docker.io/library/alpine:latest", "registry-1.docker.io"},
      {"me/tool", "docker.io/me/tool:latest", "registry-1.docker.io"},
      {"me/a/b", "docker.io/me/a/b:latest", "registry-1.docker.io"},
      {"localhost/x", "localhost/x:latest", "localhost"},
      {"localhost:5000", "docker.io/library/localhost:5000", "registry-1.docker.io"},
      {"localhost:5000/x", "localhost:5000/x:latest", "localhost:5000"},
      {"localhost:5000/x:y", "localhost:5000/x:y", "localhost:5000"},
      {"127.0.0.1:5000/a/b", "127.0.0.1:5000/a/b:latest", "127.0.0.1:5000"},
      {"[::1]:5000/x:1", "[::1]:5000/x:1", "[::1]:5000"},
      {"[fe80::1]/x", "[fe80::1]/x:latest", "[fe80::1]"},
      {"ghcr.io/Owner", "", ""},
      {"ghcr.io/owner/a_b/c__d/e-f/g---h/i.j:V_1.2-3", "ghcr.io/owner/a_b/c__d/e-f/g---h/i.j:V_1.2-3", "ghcr.io"},
      {"Registry/x", "Registry/x:latest", "Registry"},
      {"a-b.example/x", "a-b.example/x:latest", "a-b.example"},
      {"x:" + std::string(128, 't'), "docker.io/library/x:" + std::string(128, 't'), "registry-1.docker.io"},
      {"0123/x", "docker.io/0123/x:latest", "registry-1.docker.io"},
      {"x/" + std::string(64, 'a'), "docker.io/x/" + std::string(64, 'a') + ":latest", "registry-1.docker.io"},
  };
  for (const auto& [text, full, host] : names) {
    INFO(text);
    if (full.empty()) {
      refusal(text);
      continue;
    }
    const Reference reference = Reference::parse(text);
    CHECK(reference.to_string() == full);
    CHECK(reference.host() == host);
    CHECK(Reference::parse(full) == reference);
  }
  CHECK(Reference::parse("a:b@" + kDigest).object() == kDigest);
  CHECK(Reference::parse("a:b").object() == "b");
  CHECK(Reference::parse("localhost:1/a/b:c").name() == "localhost:1/a/b");
}

TEST_CASE("what is no name, and where") {
  const std::vector<std::pair<std::string, std::string>> bad{
      {"Alpine", "at character 1: a repository is written in lower case"},
      {"a:", "at character 3: the tag is empty"},
      {":a", "at character 1: the repository is empty"},
      {"a:b c", "at character 4: a tag consists of"},
      {"a:.b", "at character 3: a tag consists of"},
      {"a:-b", "at character 3: a tag consists of"},
      {"a:" + std::string(129, 't'), "at character 131: a tag has at most 128"},
      {"a@", "at character 3: want a digest"},
      {"a@sha256:abc", "at character 3: want a digest"},
      {"a@md5:" + std::string(32, 'a'), "at character 3: want a digest"},
      {"a//b", "at character 2: '//' must stand between"},
      {"/a", "at character 1: '/' must stand between"},
      {"a/", "at character 2: '/' must stand between"},
      {"-a", "at character 1: '-' must stand between"},
      {"a-", "at character 2: '-' must stand between"},
      {"a..b", "at character 2: '..' must stand between"},
      {"a___b", "at character 2: '___' must stand between"},
      {"a._b", "at character 3: '_' must stand between"},
      {"a.b/c_/d", "must stand between"},
      {"a b", "at character 2: a repository consists of"},
      {"a\nb", "at character 2"},
      {"é", "at character 1"},
      {"https://a.b/c", "at character 6: a name has no scheme"},
      {"oci:dir/x:y", "want a port number"},
      {"host:99999/x", "at character 6: want a port number"},
      {"host:123456/x", "at character 6: want a port number"},
      {"host:/x", "at character 6: want a port number"},
      {"ho_st.com/x", "at character 3: a host name consists of"},
      {"-host.com/x", "at character 1: a host name consists of"},
      {"host-.com/x", "at character 5: a host name consists of"},
      {"host..com/x", "a host name consists of"},
      {".host/x", "a host name consists of"},
      {"host./x", "a host name consists of"},
      {"[::1/x", "the bracket is not closed"},
      {"[xyz]/x", "want an IPv6 address"},
      {"[]/x", "want an IPv6 address"},
      {"[::1]5/x", "want a port or '/'"},
      {std::string(64, 'a'), "64 hex digits are an id"},
      {"h.com/" + std::string(250, 'a'), "at most 255"},
  };
  for (const auto& [text, part] : bad) {
    INFO(text);
    CHECK_THAT(refusal(text), Catch::Contains(part));
  }
  CHECK(refusal("") == "an image name is empty");
  CHECK(refusal(std::string(1 << 20, 'x')).size() < 400);
  CHECK(refusal(std::string("a\0b", 3)).find('\0') == std::string::npos);
}
