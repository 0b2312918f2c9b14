// OCI image layouts: a directory with oci-layout, index.json and blobs/<algorithm>/<hex>.
#pragma once

#include <filesystem>
#include <mutex>
#include <string>
#include <vector>

#include "oci/blobs.hpp"

namespace ipcs::oci {

// One layout. As a target: blobs are written to a file of another name, hashed, synced and renamed; index.json is
// replaced at last, under a lock, so that a reader sees the image whole or not at all. Any thread, several at once;
// several processes too.
class Layout : public BlobSource, public BlobTarget {
 public:
  // Throws Error kNotFound when the directory is none, kFailedPrecondition for a version other than 1.x.
  static Layout open(const std::filesystem::path& directory);
  // Makes the directory where there is none; opens it where there is a layout. Throws Error kFailedPrecondition when
  // the directory has something else in it.
  static Layout create(const std::filesystem::path& directory);

  // The images by index.json, each with its tag: the annotation org.opencontainers.image.ref.name, or "".
  struct Entry {
    std::string tag;
    Descriptor descriptor;
  };
  std::vector<Entry> entries() const;
  // The image of a tag; for "" the only one there is. Throws Error kNotFound naming the tags, kInvalidArgument when a
  // tag is needed or names two.
  Descriptor find(const std::string& tag) const;

  void read(const Descriptor& blob, uint64_t from, const Sink& sink, const Call& call) override;
  std::string name() const override { return "oci:" + directory_.string(); }
  // Hashes what is there: a damaged blob is none, and is replaced by put().
  bool has(const Descriptor& blob, const Call& call) override;
  void put(const Descriptor& blob, BlobSource& source, const Call& call) override;
  // An entry with the same tag is replaced; so is, without a tag, one of the same digest without a tag.
  void tag(const Descriptor& root, const std::string& bytes, const std::string& tag, const Call& call) override;

 private:
  explicit Layout(std::filesystem::path directory) : directory_(std::move(directory)) {}
  std::filesystem::path blob_path(const Digest& digest) const;

  std::filesystem::path directory_;
};

}  // namespace ipcs::oci
