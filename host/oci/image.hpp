// The blobs of an image, found by walking from its root, and copied from one place to another.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "oci/blobs.hpp"
#include "oci/manifest.hpp"

namespace ipcs::oci {

struct ImageNode {
  Descriptor descriptor;
  Role role;
  std::optional<Manifest> manifest;  // of an index or manifest
  std::vector<size_t> children;      // indexes in Image::nodes
};

// All that was chosen of an image. A blob that several refer to is there once; children come before their parents, the
// root is last.
struct Image {
  std::vector<ImageNode> nodes;

  const ImageNode& root() const { return nodes.back(); }
};

// Reads indexes and manifests from `root` down and chooses by `platforms`: of an index, for each wanted platform the
// best child whose platform fits, or the first that names none. `root` may be a manifest: it is taken as it is. Limits:
// 8 levels, 10,000 blobs, 256 MiB of manifests. Throws Error kNotFound when no child fits, kInvalidArgument, and as
// read() of `source`.
Image walk(BlobSource& source, const Descriptor& root, const PlatformChoice& platforms, const Call& call);

struct CopyOptions {
  PlatformChoice platforms = PlatformChoice::current();
  size_t parallel = 4;  // blobs at once
  // Called on any thread, one at a time for a blob: bytes of it that are there, and where they come from ("" when the
  // target had it).
  std::function<void(const Descriptor& blob, uint64_t bytes, const std::string& origin)> progress;
  // Foreign layers are left out; whoever takes the image gets them from their urls.
  bool skip_foreign = false;
};

// Copies an image: blobs at once, then manifests, then indexes from the leaves up, then the name. Nothing that refers
// to a blob is put before it. The first failure ends all and is thrown. Returns what was walked.
Image copy(BlobSource& source, const Descriptor& root, BlobTarget& target, const std::string& tag,
           const CopyOptions& options, const Call& call);

}  // namespace ipcs::oci
