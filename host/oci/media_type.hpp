// Media types of images, as OCI and Docker name them.
#pragma once

#include <string_view>

namespace ipcs::oci {

inline constexpr std::string_view kOciIndex = "application/vnd.oci.image.index.v1+json";
inline constexpr std::string_view kOciManifest = "application/vnd.oci.image.manifest.v1+json";
inline constexpr std::string_view kOciConfig = "application/vnd.oci.image.config.v1+json";
inline constexpr std::string_view kOciLayer = "application/vnd.oci.image.layer.v1.tar";
inline constexpr std::string_view kOciLayerGzip = "application/vnd.oci.image.layer.v1.tar+gzip";
inline constexpr std::string_view kOciLayerZstd = "application/vnd.oci.image.layer.v1.tar+zstd";
inline constexpr std::string_view kOciForeignPrefix = "application/vnd.oci.image.layer.nondistributable.v1.tar";
inline constexpr std::string_view kDockerIndex = "application/vnd.docker.distribution.manifest.list.v2+json";
inline constexpr std::string_view kDockerManifest = "application/vnd.docker.distribution.manifest.v2+json";
inline constexpr std::string_view kDockerManifestV1 = "application/vnd.docker.distribution.manifest.v1";  // prefix
inline constexpr std::string_view kDockerConfig = "application/vnd.docker.container.image.v1+json";
inline constexpr std::string_view kDockerLayer = "application/vnd.docker.image.rootfs.diff.tar";
inline constexpr std::string_view kDockerLayerGzip = "application/vnd.docker.image.rootfs.diff.tar.gzip";
inline constexpr std::string_view kDockerLayerZstd = "application/vnd.docker.image.rootfs.diff.tar.zstd";
inline constexpr std::string_view kDockerForeignPrefix = "application/vnd.docker.image.rootfs.foreign.diff.tar";

inline bool is_index(std::string_view type) {
  return type == kOciIndex || type == kDockerIndex;
}
inline bool is_manifest(std::string_view type) {
  return type == kOciManifest || type == kDockerManifest;
}
inline bool is_image_config(std::string_view type) {
  return type == kOciConfig || type == kDockerConfig;
}
// A layer that its maker asks not to hand on; its bytes may lie at the descriptor's urls only.
inline bool is_foreign_layer(std::string_view type) {
  return type.starts_with(kOciForeignPrefix) || type.starts_with(kDockerForeignPrefix);
}
inline bool is_layer(std::string_view type) {
  return type.starts_with(kOciLayer) || type.starts_with(kDockerLayer) || is_foreign_layer(type);
}

enum class Compression { kNone, kGzip, kZstd, kUnknown };

// How a layer of this type is compressed; kUnknown for what is no layer.
inline Compression compression_of(std::string_view type) {
  if (!is_layer(type)) return Compression::kUnknown;
  if (type.ends_with("gzip")) return Compression::kGzip;
  if (type.ends_with("zstd")) return Compression::kZstd;
  return type.ends_with(".tar") ? Compression::kNone : Compression::kUnknown;
}

}  // namespace ipcs::oci
