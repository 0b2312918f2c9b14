// containerd's content store as a source and target of blobs.
#pragma once

#include <string>

#include "containerd/client.hpp"
#include "oci/blobs.hpp"

namespace ipcs::ctrd {

// In the client's namespace. Any thread, several at once. `client` must outlive this.
//
// As a target: a manifest or index gets the labels by which containerd's garbage collector finds what it refers to, so
// an image that has a name keeps its blobs. Until it has one, a lease must keep them. Bytes that another namespace has
// already are not sent where containerd allows sharing; an interrupted write goes on where it was.
class Content : public oci::BlobSource, public oci::BlobTarget {
 public:
  enum class Checks {
    kDigest,  // read() hashes what comes
    kSize,  // it counts: the store has proved its digests when it took the bytes, and not every one is the hash of them
  };

  // `lease`: the id that new content belongs to, "" for none.
  Content(Client& client, std::string lease, Checks checks = Checks::kDigest)
      : client_(client), lease_(std::move(lease)), checks_(checks) {}

  void read(const oci::Descriptor& blob, uint64_t from, const oci::Sink& sink, const oci::Call& call) override;
  std::string name() const override { return "containerd"; }
  // Bytes of a blob of the namespace; nothing when it is not there.
  std::optional<uint64_t> size(const oci::Digest& digest, const oci::Call& call);
  bool has(const oci::Descriptor& blob, const oci::Call& call) override;
  void put(const oci::Descriptor& blob, oci::BlobSource& source, const oci::Call& call) override;
  // The same with these labels, whatever the blob is; those that it has besides stay.
  void put(const oci::Descriptor& blob, oci::BlobSource& source, const Labels& labels, const oci::Call& call);
  // Names the image as Client::set_image() does.
  void tag(const oci::Descriptor& root, const std::string& bytes, const std::string& tag,
           const oci::Call& call) override;

 private:
  bool known(const oci::Descriptor& blob, const oci::Call& call);
  bool write(const oci::Descriptor& blob, oci::BlobSource& source, const Labels& labels, const oci::Call& call);
  void add_labels(const oci::Descriptor& blob, const Labels& labels, const oci::Call& call);

  Client& client_;
  const std::string lease_;
  const Checks checks_;
};

// The labels by which containerd's garbage collector follows a manifest to its children.
Labels gc_labels(const oci::Manifest& manifest);

}  // namespace ipcs::ctrd
