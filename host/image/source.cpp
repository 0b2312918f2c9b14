// Registries, containerds and layouts under one roof.
#include "image/source.hpp"

#include "containerd/content.hpp"
#include "ipcs/error.hpp"
#include "oci/image.hpp"
#include "oci/layout.hpp"
#include "oci/reference.hpp"
#include "oci/repository.hpp"

namespace ipcs::image {
namespace {

// A containerd's content. What ipcsd has need not make the detour, and only there p2p digests can be told from wrong
// ones.
class FromContainerd : public oci::BlobSource {
 public:
  FromContainerd(ctrd::Client& client, Store& store) : content_(client, ""), store_(store) {}
  void read(const oci::Descriptor& blob, uint64_t from, const oci::Sink& sink, const oci::Call& call) override {
    if (store_.has(blob, call)) return store_.read(blob, from, sink, call);
    content_.read(blob, from, sink, call);
  }
  std::string name() const override { return content_.name(); }

 private:
  ctrd::Content content_;
  Store& store_;
};

// `from`: what bytes that are copied come from.
oci::CopyOptions copying(oci::PlatformChoice platforms, const char* from, const Report& report) {
  oci::CopyOptions options;
  options.platforms = std::move(platforms);
  options.skip_foreign = true;
  options.progress = [&report, from](const oci::Descriptor& blob, uint64_t bytes, const std::string& origin) {
    if (report) report(blob, bytes, origin.empty() ? "local" : from);
  };
  return options;
}

}  // namespace

Source open_source(const Place& place, Store& store, const Containerd& containerd, const oci::RegistryOptions& registry,
                   const oci::Call& call) {
  switch (place.kind) {
    case PlaceKind::kRegistry: {
      const auto reference = oci::Reference::parse(place.name);
      auto host = std::make_unique<oci::Registry>(reference.host(), registry);
      auto repository = std::make_unique<oci::Repository>(*host, reference.path());
      oci::Descriptor root = repository->manifest(reference.object(), call).descriptor;
      return {std::move(host), std::move(repository), std::move(root)};
    }
    case PlaceKind::kContainerd: {
      ctrd::Client& client = containerd();
      const auto image = client.image(place.name, call);
      if (!image)
        throw Error(Code::kNotFound,
                    "image " + place.name + ": not in containerd's namespace \"" + client.name_space() + '"');
      return {nullptr, std::make_unique<FromContainerd>(client, store), image->target};
    }
    case PlaceKind::kLayout: {
      oci::Layout layout = oci::Layout::open(place.name);
      oci::Descriptor root = layout.find(place.tag);
      return {nullptr, std::make_unique<oci::Layout>(std::move(layout)), std::move(root)};
    }
    case PlaceKind::kCar:
    case PlaceKind::kIpfs:
      break;
  }
  throw Error(Code::kInvalidArgument,
              place.to_string() + ": an image is taken from a registry, containerd:NAME or oci:DIR[:TAG]");
}

oci::Image bring(Source& source, Store& store, const oci::PlatformChoice& platforms, const Report& report,
                 const oci::Call& call) {
  return oci::copy(*source.blobs, source.root, store, "", copying(platforms, source.registry ? "registry" : "local", report), call);
}

void send(Store& store, const oci::Descriptor& root, const Place& from, const Place& place,
          const oci::RegistryOptions& registry, const Report& report, const oci::Call& call) {
  const auto options = copying(oci::PlatformChoice::everything(), "local", report);
  if (place.kind == PlaceKind::kLayout) {
    oci::Layout layout = oci::Layout::create(place.name);
    oci::copy(store, root, layout, place.tag, options, call);
  } else if (place.kind == PlaceKind::kRegistry) {
    const auto reference = oci::Reference::parse(place.name);
    oci::Registry host(reference.host(), registry);
    oci::Repository repository(host, reference.path());
    if (from.kind == PlaceKind::kRegistry) {
      const auto origin = oci::Reference::parse(from.name);
      if (origin.host() == reference.host()) repository.mount_from(origin.path());
    }
    oci::copy(store, root, repository, reference.object(), options, call);
  } else {
    throw Error(Code::kInvalidArgument, place.to_string() + ": neither a registry's reference nor oci:DIR[:TAG]");
  }
}

}  // namespace ipcs::image
