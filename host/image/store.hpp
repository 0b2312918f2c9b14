// ipcsd's store over its control socket: blobs, their DAGs, and the pins that hold them while an image is worked on.
#pragma once

#include <ipcs/v1/admin.grpc.pb.h>
#include <ipcs/v1/dag.grpc.pb.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "containerd/content.hpp"
#include "image/rpc.hpp"
#include "oci/blobs.hpp"

namespace ipcs::image {

// A blob as a DAG of blocks.
struct Adopted {
  oci::Digest digest;  // under which the store has it now
  std::string cid;     // of its root
  uint64_t size = 0;
  uint64_t blocks = 0;       // 0: not known
  uint64_t block_bytes = 0;  // 0: not known
};

struct Block {
  std::string cid;
  uint64_t size = 0;
  bool leaf = false;
  bool local = false;
};

// Told how many bytes of a blob are done, some times a second, on the thread that called. Empty: nobody is.
using Progress = std::function<void(uint64_t done)>;

// Whatever is put, found or adopted here is pinned by this run, an owner of its own, until drop_pins(). Pins of the
// operator and of other runs stay as they are, those of runs that were killed go with this one's. Any thread, several at
// once.
class Store : public oci::BlobSource, public oci::BlobTarget {
 public:
  // `peer` is ipcsd's control socket, `address` its path; `work` says in the pins' notes what they are for.
  Store(Peer peer, const std::string& address, const std::string& work, const oci::Call& call);
  // Drops this run's pins if that has not been done. What can't be dropped then stays with its note.
  ~Store() override;

  // Throws Error kUnimplemented, one line with the backend's name, unless it has all of these ("ipcs.adopt/1", …).
  void need(std::initializer_list<const char*> features, const oci::Call& call);
  bool offers(const char* feature, const oci::Call& call);

  void read(const oci::Descriptor& blob, uint64_t from, const oci::Sink& sink, const oci::Call& call) override;
  std::string name() const override { return "ipcsd"; }
  bool has(const oci::Descriptor& blob, const oci::Call& call) override;
  void put(const oci::Descriptor& blob, oci::BlobSource& source, const oci::Call& call) override;
  // Names are containerd's.
  void tag(const oci::Descriptor&, const std::string&, const std::string&, const oci::Call&) override {}
  // Stores bytes; returns their digest.
  oci::Digest put(const std::string& bytes, const oci::Call& call);

  // As in ipcs.v1.Dag.
  Adopted adopt_blob(const oci::Digest& digest, const std::string& chunker, const std::string& profile,
                     const Progress& progress, const oci::Call& call);
  Adopted adopt_cid(const std::string& cid, const std::optional<oci::Digest>& digest, uint64_t size,
                    const Progress& progress, const oci::Call& call);
  std::string cid_of(const oci::Digest& digest, const oci::Call& call);
  void list_blocks(const oci::Digest& digest, const std::function<void(const Block&)>& sink, const oci::Call& call);
  void export_car(const std::vector<std::string>& roots, const oci::Sink& sink, const oci::Call& call);
  // `next` gives bytes of a CAR until it gives none. `then` gets the roots; until it returns all blocks are safe.
  void import_car(const std::function<std::string()>& next,
                  const std::function<void(const std::vector<std::string>&)>& then, const oci::Call& call);

  // Pins the blob for the operator, with this note, unless he had pinned it before: that stays.
  void keep(const oci::Digest& digest, const std::string& note, const oci::Call& call);
  // Drops this run's pins and those of runs that had been killed before it began.
  void drop_pins(const oci::Call& call);

 private:
  bool pin(const oci::Digest& digest, const std::string& note, const std::string& owner, const oci::Call& call);
  bool hold(const oci::Digest& digest, const oci::Call& call);
  std::vector<v1::PinnedBlob> list_pins(const oci::Call& call);

  const Peer peer_;
  const std::string note_;
  const std::string owner_;
  ctrd::Client control_;  // it speaks containerd's Content service
  ctrd::Content content_;
  const std::unique_ptr<v1::Admin::Stub> admin_;
  const std::unique_ptr<v1::Dag::Stub> dag_;
  std::set<std::string> before_;  // digests that the operator had pinned
  std::set<std::string> ended_;   // owners that are runs which were killed
  std::atomic<bool> held_{false};  // there may be pins to drop
};

}  // namespace ipcs::image
