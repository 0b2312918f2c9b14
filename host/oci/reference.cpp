// The distribution grammar of image names, read from left to right so that an error can show its place.
#include "oci/reference.hpp"

#include <algorithm>
#include <utility>

#include "ipcs/error.hpp"
#include "oci/text.hpp"

namespace ipcs::oci {
namespace {

constexpr size_t kMaxName = 255;
constexpr size_t kMaxTag = 128;
constexpr std::string_view kDockerDomain = "docker.io";

bool is_lower(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}
bool is_alnum(char c) {
  return is_lower(c) || (c >= 'A' && c <= 'Z');
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_hex(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

// The text being read, for messages; positions in pieces of it are found by address.
struct Text {
  std::string_view whole;

  [[noreturn]] void fail(const char* at, const std::string& what) const {
    const auto offset = static_cast<size_t>(at - whole.data());
    throw Error(Code::kInvalidArgument, "\"" + one_line(whole) + "\" is not an image name: at character " +
                                            std::to_string(offset + 1) + ": " + what);
  }
};

void check_domain(const Text& text, std::string_view domain) {
  std::string_view host = domain;
  if (host.starts_with('[')) {
    const size_t close = host.find(']');
    if (close == std::string_view::npos) text.fail(domain.data(), "the bracket is not closed");
    const std::string_view address = host.substr(1, close - 1);
    if (address.empty() || !std::all_of(address.begin(), address.end(), [](char c) { return is_hex(c) || c == ':'; })) {
      text.fail(address.data(), "want an IPv6 address between the brackets");
    }
    host.remove_prefix(close + 1);
    if (!host.empty() && host.front() != ':') text.fail(host.data(), "want a port or '/' after the address");
  } else {
    const size_t colon = std::min(host.find(':'), host.size());
    for (size_t i = 0; i < colon; ++i) {
      const bool edge = i == 0 || i + 1 == colon || host[i - 1] == '.' || host[i + 1] == '.';
      if (is_alnum(host[i]) || (!edge && host[i] == '-')) continue;
      const bool dot = host[i] == '.' && i != 0 && i + 1 != colon && host[i - 1] != '.';
      if (!dot) text.fail(&host[i], "a host name consists of letters, digits, '-' and '.'");
    }
    if (colon == 0) text.fail(domain.data(), "the host name is empty");
    host.remove_prefix(colon);
  }
  if (host.empty()) return;
  host.remove_prefix(1);
  if (host.empty() || host.size() > 5 || !std::all_of(host.begin(), host.end(), is_digit) ||
      std::stoul(std::string(host)) > 65535) {
    text.fail(host.data(), "want a port number");
  }
}

void check_path(const Text& text, std::string_view path) {
  if (path.empty()) text.fail(path.data(), "the repository is empty");
  bool in_word = false;  // the character before was a letter or digit
  for (size_t i = 0; i < path.size();) {
    const char c = path[i];
    if (is_lower(c)) {
      in_word = true;
      ++i;
      continue;
    }
    if (c >= 'A' && c <= 'Z') text.fail(&path[i], "a repository is written in lower case");
    const size_t end = std::min(path.find_first_not_of(c, i), path.size());
    const size_t longest = c == '-' ? path.size() : c == '_' ? 2 : 1;
    if (c != '.' && c != '_' && c != '-' && c != '/') {
      text.fail(&path[i], "a repository consists of letters, digits, '.', '_', '-' and '/'");
    }
    if (!in_word || end - i > longest || end == path.size()) {
      text.fail(&path[i], "'" + std::string(path.substr(i, std::min<size_t>(end - i, 8))) +
                              "' must stand between letters or digits");
    }
    in_word = false;
    i = end;
  }
}

void check_tag(const Text& text, std::string_view tag) {
  if (tag.empty()) text.fail(tag.data(), "the tag is empty");
  if (tag.size() > kMaxTag) text.fail(tag.data() + kMaxTag, "a tag has at most 128 characters");
  for (const char& c : tag) {
    const bool first = &c == tag.data();
    if (is_alnum(c) || c == '_' || (!first && (c == '.' || c == '-'))) continue;
    text.fail(&c, "a tag consists of letters, digits, '_', '.' and '-'");
  }
}

}  // namespace

Reference Reference::parse(std::string_view input) {
  const Text text{input};
  Reference reference;
  if (input.empty()) throw Error(Code::kInvalidArgument, "an image name is empty");
  if (input.find("://") != std::string_view::npos) {
    text.fail(input.data() + input.find("://"), "a name has no scheme");
  }
  std::string_view rest = input;
  if (const size_t at = rest.find('@'); at != std::string_view::npos) {
    const std::string_view digest = rest.substr(at + 1);
    reference.digest_ = Digest::try_parse(digest);
    if (!reference.digest_) text.fail(digest.data(), "want a digest, e.g. sha256:<64 lower-case hex digits>");
    rest = rest.substr(0, at);
  }
  const size_t slash = rest.rfind('/');
  const size_t colon = rest.rfind(':');
  // In "localhost:5000/x" the colon belongs to the port; in "localhost:5000" to a tag, as everywhere else.
  if (colon != std::string_view::npos && (slash == std::string_view::npos || colon > slash)) {
    check_tag(text, rest.substr(colon + 1));
    reference.tag_ = rest.substr(colon + 1);
    rest = rest.substr(0, colon);
  }

  const size_t first = rest.find('/');
  const std::string_view head = rest.substr(0, first);
  const bool has_domain = first != std::string_view::npos &&
                          (head.find_first_of(".:[") != std::string_view::npos || head == "localhost" ||
                           std::any_of(head.begin(), head.end(), [](char c) { return c >= 'A' && c <= 'Z'; }));
  std::string_view path = rest;
  if (has_domain) {
    check_domain(text, head);
    reference.domain_ = head == "index.docker.io" ? kDockerDomain : head;
    path = rest.substr(first + 1);
  } else {
    reference.domain_ = kDockerDomain;
  }
  check_path(text, path);
  if (!has_domain && path.size() == 64 && std::all_of(path.begin(), path.end(), [](char c) { return is_hex(c); })) {
    text.fail(path.data(), "64 hex digits are an id, not a name");
  }
  const bool official = reference.domain_ == kDockerDomain && path.find('/') == std::string_view::npos;
  reference.path_ = (official ? "library/" : "") + std::string(path);
  if (reference.domain_.size() + 1 + reference.path_.size() > kMaxName) {
    text.fail(path.data(), "host and repository have at most 255 characters");
  }
  if (!reference.tag_ && !reference.digest_) reference.tag_ = "latest";
  return reference;
}

std::string Reference::host() const {
  return domain_ == kDockerDomain ? "registry-1.docker.io" : domain_;
}

std::string Reference::to_string() const {
  return name() + (tag_ ? ":" + *tag_ : "") + (digest_ ? "@" + digest_->to_string() : "");
}

}  // namespace ipcs::oci
