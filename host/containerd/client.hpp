// A client of containerd: the names of images, and leases that keep content while it is written.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "oci/call.hpp"
#include "oci/descriptor.hpp"

namespace grpc {
class Channel;
class ClientContext;
class Status;
}  // namespace grpc

// Not "containerd": generated code has that name for containerd's packages.
namespace ipcs::ctrd {

using Labels = std::map<std::string, std::string>;

// What containerd knows under a name.
struct ImageRecord {
  std::string name;
  oci::Descriptor target;
  Labels labels;
};

// A connection to one containerd, in one of its namespaces. Made at first use, and again after containerd was
// restarted. Any thread, several calls at once.
class Client {
 public:
  // `address`: path of containerd's socket, with or without "unix://". `name_space` e.g. "default" or "k8s.io".
  // Throws Error kInvalidArgument for an empty one of them. `who` begins messages; ipcsd's control socket speaks the
  // Content service too.
  Client(std::string address, std::string name_space, std::string who = "containerd");
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // All calls throw Error: kUnavailable when nobody listens, kCancelled, kDeadlineExceeded, and what containerd
  // answers, each beginning with the socket and what was asked for.

  std::optional<ImageRecord> image(const std::string& name, const oci::Call& call);
  // Filters as containerd writes them ("name~=alpine"), any of which has to match; none: all images.
  std::vector<ImageRecord> images(const std::vector<std::string>& filters, const oci::Call& call);
  // Gives the name to `target`, also when another image has it. Labels are added to those the name has. The content
  // should be there, under a lease, or the next garbage collection finds a name without it.
  void set_image(const std::string& name, const oci::Descriptor& target, const Labels& labels, const oci::Call& call);
  // False when there is none. `sync`: until garbage has been collected.
  bool remove_image(const std::string& name, bool sync, const oci::Call& call);

  // Makes a lease that containerd drops by itself after `life`; returns its id. Content written with it stays until
  // then.
  std::string create_lease(std::chrono::seconds life, const oci::Call& call);
  void delete_lease(const std::string& id, bool sync, const oci::Call& call);

  const std::string& address() const noexcept { return address_; }
  const std::string& name_space() const noexcept { return name_space_; }
  // "containerd /run/containerd/containerd.sock"
  std::string name() const { return who_ + ' ' + address_; }

 private:
  friend class Content;
  struct Stubs;
  class Request;

  // Throws what a failed call means.
  void check(const grpc::Status& status, const std::string& what, const oci::Call& call) const;

  std::string address_;
  std::string name_space_;
  std::string who_;
  std::unique_ptr<Stubs> stubs_;
};

// A lease as long as it lives.
class Lease {
 public:
  Lease(Client& client, std::chrono::seconds life, const oci::Call& call)
      : client_(client), id_(client.create_lease(life, call)) {}
  // Deletes the lease, within 5 s; one that can't be deleted ends by itself.
  ~Lease();
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

  const std::string& id() const noexcept { return id_; }

 private:
  Client& client_;
  std::string id_;
};

}  // namespace ipcs::ctrd
