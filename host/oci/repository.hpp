// One repository of a registry: images and blobs to pull from it and push to it.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "oci/blobs.hpp"
#include "oci/registry.hpp"

namespace ipcs::oci {

// As a source and as a target. Requests are tried again with back-off (RegistryOptions::retry) after broken
// connections, 408, 429 and 5xx; a blob is read on from where it broke. Any thread, several at once. Errors are one
// line: "registry HOST: REPOSITORY: THING: status, the registry's own words".
class Repository : public BlobSource, public BlobTarget {
 public:
  // `path` as in Reference::path(). `registry` must outlive this.
  Repository(Registry& registry, std::string path);

  // The manifest or index of a tag or digest, verified: against the digest asked for, else the one that the registry
  // names, if it does. Throws Error kNotFound, kDataLoss, kInvalidArgument (Manifest::parse), kResourceExhausted over
  // 8 MiB, and as Registry::send().
  struct Resolved {
    Descriptor descriptor;
    Manifest manifest;
  };
  Resolved manifest(const std::string& object, const Call& call);
  // The same's descriptor by a HEAD request, which costs nothing where pulls are counted. What it says is the
  // registry's word. Falls back to manifest() where the answer lacks something.
  Descriptor resolve(const std::string& object, const Call& call);

  // Blobs put here are first looked for in this repository of the same registry, and mounted from there.
  void mount_from(std::string path);

  void read(const Descriptor& blob, uint64_t from, const Sink& sink, const Call& call) override;
  std::string name() const override { return registry_.host(); }
  bool has(const Descriptor& blob, const Call& call) override;
  void put(const Descriptor& blob, BlobSource& source, const Call& call) override;
  void tag(const Descriptor& root, const std::string& bytes, const std::string& tag, const Call& call) override;

 private:
  struct Opened;

  RegistryRequest request(std::string method, const std::string& target, std::string_view thing,
                          const char* actions) const;
  Opened open(const Url& url, const Descriptor& blob, uint64_t begin, uint64_t end, const Call& call);
  void stream(const Url& url, const Descriptor& blob, uint64_t begin, uint64_t end, std::optional<Opened> first,
              const Sink& sink, const Call& call);
  void read_ranges(const Url& url, const Descriptor& blob, uint64_t from, Opened first, const Sink& sink,
                   const Call& call);
  void read_blob(const Url& url, const Descriptor& blob, uint64_t from, const Sink& sink, const Call& call);
  void read_manifest(const Descriptor& blob, uint64_t from, const Sink& sink, const Call& call);

  struct Session;
  std::optional<Session> start_upload(const Descriptor& blob, const std::string& mount, const Call& call);
  std::optional<Session> mount_or_start(const Descriptor& blob, const Call& call);
  void upload(const Descriptor& blob, BlobSource& source, const Call& call);
  void send_rest(const Descriptor& blob, BlobSource& source, Session& session, const Call& call);
  bool find_offset(const Descriptor& blob, Session& session, const Call& call);
  void finish_upload(const Descriptor& blob, const std::string& bytes, Session& session, const Call& call);
  void put_manifest(const std::string& object, std::string_view media_type, const std::string& bytes,
                    const Digest& digest, const Call& call);
  std::string thing(const Descriptor& blob) const;

  Registry& registry_;
  const std::string path_;
  std::vector<std::string> mounts_;
};

}  // namespace ipcs::oci
