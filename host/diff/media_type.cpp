// Layers of OCI's and Docker's images, distributable or not.
#include "diff/media_type.hpp"

namespace ipcs::diff {
namespace {

constexpr std::string_view kDocker[] = {"application/vnd.docker.image.rootfs.diff.tar",
                                        "application/vnd.docker.image.rootfs.foreign.diff.tar"};
constexpr std::string_view kOci[] = {"application/vnd.oci.image.layer.v1.tar",
                                     "application/vnd.oci.image.layer.nondistributable.v1.tar"};

}  // namespace

std::optional<bool> may_be_compressed(std::string_view media_type) {
  for (const std::string_view base : kDocker) {
    if (!media_type.starts_with(base)) continue;
    const std::string_view form = media_type.substr(base.size());
    // The plain one too: some writers compress it and don't say so.
    if (form.empty() || form == ".gzip" || form == ".zstd") return true;
  }
  for (const std::string_view base : kOci) {
    if (!media_type.starts_with(base)) continue;
    const std::string_view form = media_type.substr(base.size());
    if (form.empty()) return false;
    if (form == "+gzip" || form == "+zstd") return true;
  }
  return std::nullopt;
}

}  // namespace ipcs::diff
