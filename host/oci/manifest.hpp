// Indexes and manifests of OCI and of Docker's schema 2, and the config of an image.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "oci/descriptor.hpp"

namespace ipcs::oci {

inline constexpr uint64_t kMaxManifest = 8 << 20;  // bytes, as in containerd
inline constexpr uint64_t kMaxConfig = 8 << 20;

enum class Role { kManifest, kConfig, kLayer };  // kManifest: of an index, itself an index perhaps

struct Child {
  Role role;
  Descriptor descriptor;
};

// An index or a manifest: its bytes, and what it refers to. Immutable value.
class Manifest {
 public:
  // `media_type` is what the descriptor or the registry says; empty or one that says nothing (application/json, …)
  // leaves it to the document. Errors begin with `name`. Throws Error kInvalidArgument for what is no index or
  // manifest, contradicts `media_type` or itself (one with both manifests and layers), or exceeds limits: kMaxManifest,
  // 64 levels, 10,000 children.
  static Manifest parse(std::string bytes, std::string_view media_type, std::string_view name);

  const std::string& bytes() const noexcept { return bytes_; }
  const std::string& media_type() const noexcept { return media_type_; }
  bool is_index() const noexcept { return is_index_; }
  // In the document's order; of a manifest the config comes first. A "subject" is not among them.
  const std::vector<Child>& children() const noexcept { return children_; }
  const std::string& artifact_type() const noexcept { return artifact_type_; }
  // A new descriptor of these bytes: type, digest by `algorithm`, size.
  Descriptor descriptor(Algorithm algorithm = Algorithm::kSha256) const;

  // The document with other children: where changed[i] has a value, it takes the place of children()[i]. With
  // `media_type` the document's type becomes that one. All other bytes stay as they were.
  std::string rewritten(std::span<const std::optional<Descriptor>> changed, std::string_view media_type = {}) const;

 private:
  Manifest() = default;

  std::string bytes_;
  std::string media_type_;
  bool is_index_ = false;
  std::vector<Child> children_;
  std::string artifact_type_;
};

// What the config of an image says about its layers and its machine.
struct ImageConfig {
  Platform platform;
  std::vector<Digest> diff_ids;  // of the uncompressed layers, lowest first

  // Throws Error kInvalidArgument beginning with `name`.
  static ImageConfig parse(std::string bytes, std::string_view name);
};

}  // namespace ipcs::oci
