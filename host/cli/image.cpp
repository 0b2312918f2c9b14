// `ipcsctl image`: the group, its flags, and `image ls`.
#include "cli/image_work.hpp"
#include "containerd/content.hpp"
#include "image/p2p.hpp"
#include "ipcs/error.hpp"

namespace ipcs::cli {
namespace {

struct ListArgs {
  std::shared_ptr<ImageFlags> flags;
};

// "p2p", "oci", or "-" where the root's bytes can't be had.
std::string digests_of(ctrd::Client& client, const oci::Descriptor& root, const oci::Call& call) {
  try {
    ctrd::Content content(client, "", ctrd::Content::Checks::kSize);
    const std::string bytes = oci::read_whole(content, root, oci::kMaxManifest, call);
    return oci::Digest::of(bytes, root.digest().algorithm()) == root.digest() ? "oci" : "p2p";
  } catch (const Error& e) {
    if (e.code() == Code::kCancelled) throw;
    return "-";
  }
}

int list(Session& session, const ListArgs& args) {
  return run_image(session, [&] {
    const oci::Call call{oci::Call::Clock::time_point::max(), session.connection.stop()};
    const auto connected = connect_containerd(*args.flags);
    ctrd::Client& client = *connected;
    Json rows = Json::array();
    Table table({{"NAME"}, {"DIGESTS"}, {"DIGEST"}, {"CID"}});
    for (const ctrd::ImageRecord& image : client.images({}, call)) {
      const auto found = image.labels.find(kCidLabel);
      const std::string cid = found == image.labels.end() ? "" : found->second;
      if (session.flags.quiet && !session.json()) {
        session.output.line(image.name);
        continue;
      }
      const std::string digests = digests_of(client, image.target, call);
      if (session.json()) {
        rows.push_back({{"name", image.name},
                        {"digest", image.target.digest().to_string()},
                        {"media_type", image.target.media_type()},
                        {"digests", digests == "-" ? "" : digests},
                        {"cid", cid}});
      } else {
        table.add({image.name, digests, image.target.digest().to_string(), cid.empty() ? "-" : cid});
      }
    }
    if (session.json()) {
      session.output.json(rows);
    } else if (!session.flags.quiet) {
      session.output.table(table);
    }
    return kOk;
  });
}

}  // namespace

void add_image(CLI::App& app, Choice& choice) {
  CLI::App* group = app.add_subcommand("image", "convert, publish, pull and compare images");
  group->require_subcommand(1);
  auto flags = std::make_shared<ImageFlags>();
  group
      ->add_option("--containerd", flags->containerd,
                   "containerd's socket [$CONTAINERD_ADDRESS, or where it is by default]")
      ->type_name("SOCKET");
  group->add_option("-n,--namespace", flags->space, "of containerd [$CONTAINERD_NAMESPACE, or default]")
      ->type_name("NAME");
  group->add_flag("--plain-http", flags->plain_http, "speak to registries without TLS");
  group->add_option("--ca", flags->ca, "certificates to believe registries by, beside the system's")->type_name("FILE");

  add_image_move(*group, choice, flags);
  add_image_compare(*group, choice, flags);
  auto listed = std::make_shared<ListArgs>();
  listed->flags = flags;
  add_verb(*group, choice, "ls", "list the images of a containerd namespace", list, listed)->alias("list");
}

}  // namespace ipcs::cli
