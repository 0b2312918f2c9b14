// `ipcsctl image convert`, `pull`, `push`, `export`, `import`: an image from one place to another.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "cli/image_layers.hpp"
#include "cli/image_work.hpp"
#include "cli/text.hpp"
#include "image/p2p.hpp"
#include "image/published.hpp"
#include "image/recut.hpp"
#include "image/registration.hpp"
#include "image/rewrite.hpp"
#include "ipcs/error.hpp"
#include "oci/reference.hpp"

namespace ipcs::cli {
namespace {

using image::Digests;
using image::Place;
using image::PlaceKind;
using image::RootBlob;
using image::Stored;

constexpr size_t kPiece = 1 << 20;

std::string cid_url(const RootBlob& root) {
  return "ipfs://" + root.blob.cid;
}

// A file that appears under its name when it is whole.
class NewFile {
 public:
  explicit NewFile(std::string path) : path_(std::move(path)), part_(path_ + ".part-" + std::to_string(::getpid())) {
    fd_ = ::open(part_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd_ < 0) fail(part_);
  }
  ~NewFile() {
    if (fd_ < 0) return;
    ::close(fd_);
    ::unlink(part_.c_str());
  }
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  void write(std::span<const uint8_t> bytes) {
    while (!bytes.empty()) {
      const ssize_t count = ::write(fd_, bytes.data(), bytes.size());
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) fail(part_);
      bytes = bytes.subspan(static_cast<size_t>(count));
    }
  }
  void finish() {
    if (::fsync(fd_) != 0 || ::rename(part_.c_str(), path_.c_str()) != 0) fail(path_);
    ::close(std::exchange(fd_, -1));
  }

 private:
  [[noreturn]] static void fail(const std::string& name) {
    throw Error(errno == ENOSPC ? Code::kResourceExhausted : Code::kInvalidArgument,
                name + ": " + std::strerror(errno));
  }

  const std::string path_, part_;
  int fd_ = -1;
};

// The root descriptor first, so that a reader of the file knows what it holds.
uint64_t write_car(ImageWork& work, const Stored& stored, const RootBlob& root, const std::string& path) {
  std::vector<std::string> roots{root.blob.cid};
  for (const image::Adopted& blob : stored.blobs) {
    if (!blob.cid.empty()) roots.push_back(blob.cid);
  }
  NewFile file(path);
  uint64_t bytes = 0;
  const auto& report = work.step("export");
  const oci::Descriptor shown("", root.descriptor.digest(), std::max(stored.block_bytes(), uint64_t{1}));
  work.store().export_car(
      roots,
      [&](std::span<const uint8_t> piece) {
        file.write(piece);
        bytes += piece.size();
        report(shown, bytes, "local");
      },
      work.call());
  file.finish();
  return bytes;
}

// Makes the image one of containerd's, held there with its root descriptor.
void register_stored(ImageWork& work, const std::string& name, const oci::Image& image, const RootBlob* root,
                     std::map<std::string, std::string> content_labels = {}) {
  image::Registration registration;
  registration.name = name;
  registration.content_labels = std::move(content_labels);
  if (root != nullptr) {
    registration.image_labels[kCidLabel] = cid_url(*root);
    registration.root_blob = oci::Descriptor("application/json", root->blob.digest, root->blob.size);
  }
  image::register_image(work.client(), work.store(), image, registration, work.step("register"), work.call());
}

// What IPFS is to go on having stays pinned, under a note that says why.
void keep_published(ImageWork& work, const Stored& stored, const RootBlob& root, const std::string& what) {
  const std::string note = fmt::format("published as {}: {}", cid_url(root), what);
  for (const image::Adopted& blob : stored.blobs) {
    if (!blob.cid.empty()) work.store().keep(blob.digest, note, work.call());
  }
  work.store().keep(root.blob.digest, note, work.call());
}

Json to_json(const Stored& stored) {
  Json blobs = Json::array();
  for (size_t i = 0; i < stored.blobs.size(); ++i) {
    const oci::Descriptor& descriptor = stored.image.nodes[i].descriptor;
    blobs.push_back({{"digest", descriptor.digest().to_string()},
                     {"media_type", descriptor.media_type()},
                     {"size", descriptor.size()},
                     {"cid", stored.blobs[i].cid}});
  }
  return blobs;
}

// An image with the digests of its bytes; of p2p digests all of them are hashed.
Stored with_own_digests(ImageWork& work, const oci::Image& image) {
  return image::rewrite(work.store(), image, {Digests::kKept, {}, work.step("hash")}, work.call());
}

// The result of every verb that makes or finds an `ipfs://CID`: that is the last line. `pushed` is the digest of what a registry
// got instead, if one did.
int finish(Session& session, ImageWork& work, const std::string& name, const Stored& stored, const RootBlob& root,
           const LayerReport* layers = nullptr, const std::string& pushed = {}) {
  work.quiet();
  if (session.json()) {
    Json result{{"image", name},
                {"cid", cid_url(root)},
                {"digest", root.descriptor.digest().to_string()},
                {"blocks", stored.blocks()},
                {"block_bytes", stored.block_bytes()},
                {"blobs", to_json(stored)}};
    if (layers != nullptr) result["recut"] = to_json(*layers);
    if (!pushed.empty()) result["registry_digest"] = pushed;
    session.output.json(result);
    return kOk;
  }
  if (layers != nullptr && !session.flags.quiet) print(session, *layers);
  session.tell(fmt::format(
      "{}: {} in {} blobs{}", name, root.descriptor.digest().to_string(), stored.blobs.size(),
      stored.blocks() == 0 ? "" : fmt::format(", {} blocks, {}", stored.blocks(), size_text(stored.block_bytes()))));
  if (!pushed.empty()) {
    session.tell(fmt::format("{}: is {} in the registry, which refuses ipfs:// urls: {} leads to the image with them", name,
                             pushed, cid_url(root)));
  }
  session.output.line(cid_url(root));
  return kOk;
}

struct ConvertArgs {
  std::shared_ptr<ImageFlags> flags;
  std::string source, target, digests = "p2p", chunker, since;
  bool uncompressed = false;
  PlatformFlags platforms;
};

int convert(Session& session, const ConvertArgs& args) {
  return run_image(session, [&] {
    const Place source = Place::parse(args.source), target = Place::parse(args.target);
    const bool p2p = args.digests == "p2p";
    if (target.kind == PlaceKind::kIpfs) {
      throw Error(Code::kInvalidArgument,
                  args.target + ": a CID comes out of a conversion; convert to containerd:NAME or car:FILE");
    }
    if (p2p && (target.kind == PlaceKind::kRegistry || target.kind == PlaceKind::kLayout)) {
      throw Error(Code::kInvalidArgument,
                  target.to_string() +
                      ": registries and layouts refuse p2p digests; --digests oci makes an image that they take");
    }
    const bool by_tar = args.chunker == "tar";
    if (!by_tar && (args.uncompressed || !args.since.empty())) {
      throw Error(Code::kInvalidArgument, "--uncompressed and --since are for --chunker tar");
    }
    const auto since = args.since.empty() ? std::nullopt : std::optional(Place::parse(args.since));
    ImageWork work(session, *args.flags, fmt::format("convert {} {}", args.source, args.target));
    if (target.kind == PlaceKind::kContainerd) work.client();
    work.store().need({IPCS_ADOPT_V1}, work.call());
    if (since) work.store().need({IPCS_BLOCKS_V1}, work.call());
    if (target.kind == PlaceKind::kCar) work.store().need({IPCS_CAR_V1}, work.call());

    oci::Image image = work.bring(source, args.platforms, oci::PlatformChoice::everything());
    image::RewriteOptions options{p2p ? Digests::kP2p : Digests::kOci, by_tar ? "" : args.chunker, {}};
    LayerReport layers;
    if (by_tar) {
      // Of an image with p2p digests, the one that it was made from: all that stays gets the digests of its bytes.
      if (!p2p && image::is_p2p(image)) image = with_own_digests(work, image).image;
      auto recut = image::recut(work.store(), image, {make_tar_cutter, args.uncompressed, work.step("cut")}, work.call());
      image = std::move(recut.image);
      layers.layers = std::move(recut.layers);
      options.layer_chunker = args.uncompressed ? "tar" : "zstd-frames";
    }
    options.report = work.step("convert");
    const Stored stored = image::rewrite(work.store(), image, options, work.call());
    if (by_tar) complete(layers, work, stored, since, args.platforms);
    const RootBlob root = image::publish_root(work.store(), stored, work.call());
    std::string pushed;
    switch (target.kind) {
      case PlaceKind::kContainerd:
        register_stored(work, target.name, stored.image, &root);
        break;
      case PlaceKind::kCar:
        write_car(work, stored, root, target.name);
        break;
      case PlaceKind::kRegistry: {
        // Registries refuse a layer with urls that are not http.
        const Stored kept = with_own_digests(work, image);
        pushed = kept.image.root().descriptor.digest().to_string();
        image::send(work.store(), kept.image.root().descriptor, source, target, work.registry(), work.step("push"),
                    work.call());
        break;
      }
      default:
        image::send(work.store(), stored.image.root().descriptor, source, target, work.registry(), work.step("push"),
                    work.call());
    }
    // In containerd the image holds its own digests. Everything else is held by nobody but us.
    if (!p2p || target.kind != PlaceKind::kContainerd) keep_published(work, stored, root, args.source);
    return finish(session, work, target.to_string(), stored, root, by_tar ? &layers : nullptr, pushed);
  });
}

struct PullArgs {
  std::shared_ptr<ImageFlags> flags;
  std::string source, name;
  PlatformFlags platforms;
};

// "containerd:NAME" or NAME.
std::string containerd_name(const std::string& text) {
  constexpr std::string_view kPrefix = "containerd:";
  return text.starts_with(kPrefix) ? text.substr(kPrefix.size()) : text;
}

int pull(Session& session, const PullArgs& args) {
  return run_image(session, [&] {
    const Place source = Place::parse(args.source);
    std::string name = containerd_name(args.name);
    if (source.kind != PlaceKind::kIpfs && source.kind != PlaceKind::kRegistry) {
      throw Error(
          Code::kInvalidArgument,
          args.source + ": `image pull` takes a registry's reference or ipfs://CID; `image import` takes files");
    }
    if (name.empty() && source.kind == PlaceKind::kIpfs) {
      throw Error(Code::kInvalidArgument,
                  args.source + ": a CID is no name; say under which the image is to be in containerd");
    }
    if (name.empty()) name = source.name;
    ImageWork work(session, *args.flags, "pull " + args.source);
    work.client();
    const auto platforms = choice_of(args.platforms, oci::PlatformChoice::current());
    if (source.kind == PlaceKind::kIpfs) {
      work.store().need({IPCS_ADOPT_V1}, work.call());
      const auto published =
          image::fetch_published(work.store(), source.name, platforms, work.step("pull"), work.call());
      register_stored(work, name, published.stored.image, &published.root);
      return finish(session, work, "containerd:" + name, published.stored, published.root);
    }
    const oci::Image image = work.bring(source, args.platforms, platforms);
    const auto reference = oci::Reference::parse(source.name);
    register_stored(work, name, image, nullptr,
                    {{"containerd.io/distribution.source." + reference.domain(), reference.path()}});
    work.quiet();
    const std::string digest = image.root().descriptor.digest().to_string();
    if (session.json()) {
      session.output.json({{"image", "containerd:" + name}, {"digest", digest}, {"blobs", image.nodes.size()}});
    } else {
      session.tell(fmt::format("containerd:{}: {}", name, counted(image.nodes.size(), "blob")));
      session.output.line(digest);
    }
    return kOk;
  });
}

struct PushArgs {
  std::shared_ptr<ImageFlags> flags;
  std::string name;
  PlatformFlags platforms;
};

int push(Session& session, const PushArgs& args) {
  return run_image(session, [&] {
    constexpr std::string_view kScheme = "ipfs://";
    if (!args.name.starts_with(kScheme) || args.name.size() == kScheme.size()) {
      throw Error(
          Code::kInvalidArgument,
          args.name + ": `image push` wants ipfs://NAME; to a registry goes `image convert NAME REF --digests oci`");
    }
    const std::string name = args.name.substr(kScheme.size());
    ImageWork work(session, *args.flags, "push " + args.name);
    work.store().need({IPCS_ADOPT_V1}, work.call());
    const oci::Image image =
        work.bring({PlaceKind::kContainerd, name, {}}, args.platforms, oci::PlatformChoice::everything());
    const Stored stored = image::rewrite(work.store(), image, {Digests::kOci, {}, work.step("push")}, work.call());
    const RootBlob root = image::publish_root(work.store(), stored, work.call());
    keep_published(work, stored, root, name);
    return finish(session, work, args.name, stored, root);
  });
}

struct ExportArgs {
  std::shared_ptr<ImageFlags> flags;
  std::string name, target;
  PlatformFlags platforms;
};

// What is known of an image with p2p digests: its digests are its roots.
Stored as_stored(ImageWork& work, const oci::Image& image) {
  Stored stored{image, {}};
  for (const oci::ImageNode& node : image.nodes) {
    const oci::Digest& digest = node.descriptor.digest();
    stored.blobs.push_back({digest, work.store().cid_of(digest, work.call()), node.descriptor.size()});
  }
  return stored;
}

int export_image(Session& session, const ExportArgs& args) {
  return run_image(session, [&] {
    const Place target = Place::parse(args.target);
    if (target.kind != PlaceKind::kCar && target.kind != PlaceKind::kLayout) {
      throw Error(Code::kInvalidArgument, args.target + ": an image is exported to car:FILE or oci:DIR[:TAG]");
    }
    const bool car = target.kind == PlaceKind::kCar;
    const std::string name = containerd_name(args.name);
    ImageWork work(session, *args.flags, fmt::format("export {} {}", name, args.target));
    if (car) work.store().need({IPCS_LOCATE_V1, IPCS_ADOPT_V1, IPCS_CAR_V1}, work.call());
    const Place source{PlaceKind::kContainerd, name, {}};
    const oci::Image image = work.bring(source, args.platforms, oci::PlatformChoice::everything());
    if (!car) {
      // A layout takes no p2p digests: it gets the image that they were made of.
      const Stored plain = image::is_p2p(image) ? with_own_digests(work, image) : Stored{image, {}};
      const oci::Descriptor root = plain.image.root().descriptor;
      image::send(work.store(), root, source, target, work.registry(), work.step("export"), work.call());
      work.quiet();
      if (session.json()) session.output.json({{"image", target.to_string()}, {"digest", root.digest().to_string()}});
      if (!session.json()) session.output.line(root.digest().to_string());
      return kOk;
    }
    const Stored stored = image::is_p2p(image) ? as_stored(work, image)
                                               : image::rewrite(work.store(), image,
                                                                {Digests::kOci, {}, work.step("export")}, work.call());
    const RootBlob root = image::publish_root(work.store(), stored, work.call());
    write_car(work, stored, root, target.name);
    return finish(session, work, target.to_string(), stored, root);
  });
}

struct ImportArgs {
  std::shared_ptr<ImageFlags> flags;
  std::string source, name;
  PlatformFlags platforms;
};

int import_image(Session& session, const ImportArgs& args) {
  return run_image(session, [&] {
    const Place source = Place::parse(args.source);
    if (source.kind != PlaceKind::kCar && source.kind != PlaceKind::kLayout) {
      throw Error(Code::kInvalidArgument, args.source + ": an image is imported from car:FILE or oci:DIR[:TAG]");
    }
    const std::string name = containerd_name(args.name);
    ImageWork work(session, *args.flags, fmt::format("import {}", args.source));
    work.client();
    const auto everything = oci::PlatformChoice::everything();
    if (source.kind == PlaceKind::kLayout) {
      const oci::Image image = work.bring(source, args.platforms, everything);
      register_stored(work, name, image, nullptr);
      work.quiet();
      const std::string digest = image.root().descriptor.digest().to_string();
      if (session.json())
        session.output.json({{"image", "containerd:" + name}, {"digest", digest}, {"blobs", image.nodes.size()}});
      if (!session.json()) session.output.line(digest);
      return kOk;
    }
    work.store().need({IPCS_ADOPT_V1, IPCS_CAR_V1}, work.call());
    std::ifstream file(source.name, std::ios::binary);
    if (!file) throw Error(Code::kInvalidArgument, source.name + ": " + std::strerror(errno));
    std::error_code error;
    const uint64_t size = std::filesystem::file_size(source.name, error);
    const oci::Descriptor shown("", oci::Digest::of(source.name), error ? 1 : size);
    const auto& report = work.step("import");
    uint64_t done = 0;
    std::optional<image::Published> published;
    work.store().import_car(
        [&] {
          std::string piece(kPiece, '\0');
          file.read(piece.data(), static_cast<std::streamsize>(piece.size()));
          if (file.bad()) throw Error(Code::kDataLoss, source.name + ": can't be read");
          piece.resize(static_cast<size_t>(file.gcount()));
          report(shown, done += piece.size(), "local");
          return piece;
        },
        [&](const std::vector<std::string>& roots) {
          if (roots.empty()) throw Error(Code::kInvalidArgument, source.name + ": the CAR names no root");
          published = image::fetch_published(work.store(), roots.front(), choice_of(args.platforms, everything),
                                             work.step("import"), work.call());
          register_stored(work, name, published->stored.image, &published->root);
        },
        work.call());
    return finish(session, work, "containerd:" + name, published->stored, published->root);
  });
}

template <class Args>
std::shared_ptr<Args> args_with(const std::shared_ptr<ImageFlags>& flags) {
  auto args = std::make_shared<Args>();
  args->flags = flags;
  return args;
}

}  // namespace

void add_image_move(CLI::App& image, Choice& choice, const std::shared_ptr<ImageFlags>& flags) {
  auto converted = args_with<ConvertArgs>(flags);
  CLI::App* verb = add_verb(image, choice, "convert", "give an image p2p digests or ipfs:// urls; prints ipfs://CID",
                            convert, converted);
  verb->add_option("SRC", converted->source, "a registry's reference, containerd:NAME or oci:DIR[:TAG]")
      ->type_name("")
      ->required()
      ->check(is_text());
  verb->add_option("DST", converted->target,
                   "containerd:NAME or car:FILE; of --digests oci also oci:DIR[:TAG] or a reference")
      ->type_name("")
      ->required()
      ->check(is_text());
  verb->add_option("--digests", converted->digests,
                   "p2p: of each blob's root; oci: as they are, with ipfs:// urls, which a registry's copy lacks, so that "
                   "ipfs://CID leads to a manifest of another digest [p2p]")
      ->type_name("p2p|oci")
      ->check(CLI::IsMember({"p2p", "oci"}).description(""));
  verb->add_option("--chunker", converted->chunker,
                   "how blobs are cut into blocks: size-BYTES, fastcdc-MIN-AVG-MAX [size-262144]; tar: layers become zstd "
                   "frames that end where files do")
      ->type_name("CHUNKER")
      ->check(is_text())
      ->check(CLI::Validator([](const std::string& name) { return wrong_chunker(name); }, ""));
  verb->add_flag("--uncompressed", converted->uncompressed, "of --chunker tar: layers are plain tars, without zstd");
  verb->add_option("--since", converted->since,
                   "of --chunker tar: an older version, so converted too; tells what a node that has it must fetch")
      ->type_name("IMAGE")
      ->check(is_text());
  add_platform_flags(*verb, converted->platforms);

  auto pulled = args_with<PullArgs>(flags);
  verb = add_verb(image, choice, "pull", "get an image from a registry or from IPFS into containerd", pull, pulled);
  verb->add_option("SRC", pulled->source, "a registry's reference or ipfs://CID")
      ->type_name("")
      ->required()
      ->check(is_text());
  verb->add_option("NAME", pulled->name, "in containerd; the reference when not given")
      ->type_name("")
      ->check(is_text());
  add_platform_flags(*verb, pulled->platforms);

  auto pushed = args_with<PushArgs>(flags);
  verb = add_verb(image, choice, "push",
                  "publish an image of containerd in IPFS under its own digests; prints ipfs://CID", push, pushed);
  verb->add_option("NAME", pushed->name, "ipfs://NAME, with the name in containerd")
      ->type_name("")
      ->required()
      ->check(is_text());
  add_platform_flags(*verb, pushed->platforms);

  auto exported = args_with<ExportArgs>(flags);
  verb =
      add_verb(image, choice, "export", "write an image of containerd to a file or directory", export_image, exported);
  verb->add_option("NAME", exported->name, "in containerd")->type_name("")->required()->check(is_text());
  verb->add_option("DST", exported->target, "car:FILE or oci:DIR[:TAG]")->type_name("")->required()->check(is_text());
  add_platform_flags(*verb, exported->platforms);

  auto imported = args_with<ImportArgs>(flags);
  verb = add_verb(image, choice, "import", "take an image from a file or directory into containerd", import_image,
                  imported);
  verb->add_option("SRC", imported->source, "car:FILE or oci:DIR[:TAG]")->type_name("")->required()->check(is_text());
  verb->add_option("NAME", imported->name, "in containerd")->type_name("")->required()->check(is_text());
  add_platform_flags(*verb, imported->platforms);
}

}  // namespace ipcs::cli
