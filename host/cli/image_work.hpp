// What the verbs of `ipcsctl image` share: their flags, and the ways to ipcsd, containerd and registries.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/bars.hpp"
#include "cli/session.hpp"
#include "containerd/client.hpp"
#include "image/source.hpp"
#include "image/store.hpp"
#include "ipcs/error.hpp"
#include "ipcs/extensions.h"
#include "oci/image.hpp"
#include "oci/registry.hpp"

namespace ipcs::cli {

// Flags of all image verbs.
struct ImageFlags {
  std::string containerd;  // its socket
  std::string space;       // namespace
  bool plain_http = false;
  std::string ca;
};

// Which platforms, as the command line says.
struct PlatformFlags {
  std::vector<std::string> platforms;
  bool all = false;
};
void add_platform_flags(CLI::App& verb, PlatformFlags& flags);

// Image label in containerd: "ipfs://CID" of the descriptor that leads to it.
inline constexpr const char* kCidLabel = "ipcs.io/cid";

std::unique_ptr<ctrd::Client> connect_containerd(const ImageFlags& flags);

// One run. What it has pinned in ipcsd is dropped when it goes.
class ImageWork {
 public:
  // `what` is for the notes of pins: "convert A B".
  ImageWork(Session& session, const ImageFlags& flags, const std::string& what);

  const oci::Call& call() const { return call_; }
  image::Store& store() { return store_; }
  ctrd::Client& client();
  image::Containerd containerd() {
    return [this]() -> ctrd::Client& { return client(); };
  }
  const oci::RegistryOptions& registry() const { return registry_; }

  // The next step of the work; shows its progress from now on.
  const image::Report& step(const std::string& label);
  // Takes the bars away, so that something can be said.
  void quiet() { bars_.clear(); }

  // Brings the image of a place into the store. Without flags: all platforms, or `otherwise`; of containerd those that
  // it has.
  oci::Image bring(const image::Place& place, const PlatformFlags& platforms, const oci::PlatformChoice& otherwise);

 private:
  const ImageFlags& flags_;
  const oci::Call call_;
  oci::RegistryOptions registry_;
  image::Store store_;
  std::unique_ptr<ctrd::Client> client_;
  Bars bars_;
  image::Report report_;
};

// The choice that flags make, else `otherwise`.
oci::PlatformChoice choice_of(const PlatformFlags& flags, const oci::PlatformChoice& otherwise);

// Runs an image verb: what was cancelled by Ctrl-C ends as Interrupted.
template <class Body>
int run_image(Session& session, Body body) {
  try {
    return body();
  } catch (const Error&) {
    session.interrupt.check();
    throw;
  }
}

// The groups of image verbs; each is a file of this room.
void add_image_move(CLI::App& image, Choice& choice, const std::shared_ptr<ImageFlags>& flags);
void add_image_compare(CLI::App& image, Choice& choice, const std::shared_ptr<ImageFlags>& flags);

}  // namespace ipcs::cli
