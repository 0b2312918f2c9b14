// Names of images as people write them: "domain/path:tag@digest" in the grammar of the distribution project.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "oci/digest.hpp"

namespace ipcs::oci {

// A name with its defaults filled in. Immutable value.
class Reference {
 public:
  // As containerd's clients and docker read it: without a domain it is docker.io, there a path of one component is
  // below "library/", "index.docker.io" is docker.io; without tag and digest the tag is "latest".
  // Throws Error kInvalidArgument that shows the text and the place.
  static Reference parse(std::string_view text);

  const std::string& domain() const noexcept { return domain_; }  // "docker.io", "localhost:5000", "[::1]:5000"
  const std::string& path() const noexcept { return path_; }      // "library/alpine"
  const std::optional<std::string>& tag() const noexcept { return tag_; }
  const std::optional<Digest>& digest() const noexcept { return digest_; }

  // The host that serves the domain: "registry-1.docker.io" for docker.io, else the domain.
  std::string host() const;
  // "domain/path", without tag and digest.
  std::string name() const { return domain_ + "/" + path_; }
  // With all defaults: "docker.io/library/alpine:latest".
  std::string to_string() const;
  // What a manifest is asked for by: the digest when there is one, else the tag.
  std::string object() const { return digest_ ? digest_->to_string() : *tag_; }

  friend bool operator==(const Reference&, const Reference&) = default;

 private:
  Reference() = default;

  std::string domain_;
  std::string path_;
  std::optional<std::string> tag_;
  std::optional<Digest> digest_;
};

}  // namespace ipcs::oci
