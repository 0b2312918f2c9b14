// Descriptors: what refers to a blob by type, digest and size.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "oci/digest.hpp"
#include "oci/platform.hpp"

namespace ipcs::oci {

// A valid descriptor, and the JSON text that it was read from. Immutable value; equal when type, digest and size are.
class Descriptor {
 public:
  Descriptor(std::string media_type, Digest digest, uint64_t size);
  // Throws Error kInvalidArgument beginning with `name` unless `json` is an object with a media type, a digest and a
  // size ≤ 2^63 - 1.
  static Descriptor parse(std::string json, std::string_view name);

  const std::string& media_type() const noexcept { return media_type_; }
  const Digest& digest() const noexcept { return digest_; }
  uint64_t size() const noexcept { return size_; }
  const std::vector<std::string>& urls() const noexcept { return urls_; }
  const std::optional<Platform>& platform() const noexcept { return platform_; }
  const std::map<std::string, std::string>& annotations() const noexcept { return annotations_; }
  const std::string& artifact_type() const noexcept { return artifact_type_; }
  // The JSON text, with everything that this class does not know.
  const std::string& text() const noexcept { return text_; }

  // Copies in which one thing differs; the rest of the text stays byte for byte.
  Descriptor with_content(const Digest& digest, uint64_t size) const;
  Descriptor with_media_type(std::string_view media_type) const;
  Descriptor with_urls(const std::vector<std::string>& urls) const;
  Descriptor with_annotation(std::string_view key, std::string_view value) const;

  friend bool operator==(const Descriptor& a, const Descriptor& b) noexcept {
    return a.digest_ == b.digest_ && a.size_ == b.size_ && a.media_type_ == b.media_type_;
  }

 private:
  std::string media_type_;
  Digest digest_;
  uint64_t size_;
  std::vector<std::string> urls_;
  std::optional<Platform> platform_;
  std::map<std::string, std::string> annotations_;
  std::string artifact_type_;
  std::string text_;
};

}  // namespace ipcs::oci
