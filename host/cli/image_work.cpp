// Connections are made when a verb first needs them.
#include "cli/image_work.hpp"

#include <unistd.h>

#include <mutex>

#include "config/environment.hpp"
#include "containerd/content.hpp"
#include "ipcs/error.hpp"
#include "oci/credentials.hpp"

namespace ipcs::cli {
namespace {

constexpr const char* kContainerd = "/run/containerd/containerd.sock";

std::string or_environment(const std::string& flag, const char* variable, const char* otherwise) {
  if (!flag.empty()) return flag;
  const std::string value = config::Environment::of_process().get(variable);
  return value.empty() ? otherwise : value;
}

// The platforms of an index of which containerd has the manifests: it fetches only what it was asked for.
oci::PlatformChoice present(ctrd::Client& client, const oci::Descriptor& root, const oci::Call& call) {
  ctrd::Content content(client, "", ctrd::Content::Checks::kSize);
  const std::string name = "containerd: " + root.digest().to_string();
  const auto index =
      oci::Manifest::parse(oci::read_whole(content, root, oci::kMaxManifest, call), root.media_type(), name);
  if (!index.is_index()) return oci::PlatformChoice::everything();
  oci::PlatformChoice choice;
  for (const oci::Child& child : index.children()) {
    if (content.size(child.descriptor.digest(), call) && child.descriptor.platform()) {
      choice.wanted.push_back(*child.descriptor.platform());
    }
  }
  const bool all = choice.wanted.size() == index.children().size();
  return all || choice.wanted.empty() ? oci::PlatformChoice::everything() : choice;
}

}  // namespace

void add_platform_flags(CLI::App& verb, PlatformFlags& flags) {
  CLI::Option* one = verb.add_option("--platform", flags.platforms, "these only, e.g. linux/arm64")
                         ->type_name("PLATFORM")
                         ->delimiter(',')
                         ->allow_extra_args(false);
  one->check(CLI::Validator(
      [](std::string& text) {
        try {
          oci::Platform::parse(text);
          return std::string();
        } catch (const Error& e) {
          return std::string(e.what());
        }
      },
      "", "platform"));
  verb.add_flag("--all-platforms", flags.all, "all that there are")->excludes(one);
}

oci::PlatformChoice choice_of(const PlatformFlags& flags, const oci::PlatformChoice& otherwise) {
  if (flags.all) return oci::PlatformChoice::everything();
  if (flags.platforms.empty()) return otherwise;
  oci::PlatformChoice choice;
  for (const std::string& text : flags.platforms) choice.wanted.push_back(oci::Platform::parse(text));
  return choice;
}

std::unique_ptr<ctrd::Client> connect_containerd(const ImageFlags& flags) {
  return std::make_unique<ctrd::Client>(or_environment(flags.containerd, "CONTAINERD_ADDRESS", kContainerd),
                                        or_environment(flags.space, "CONTAINERD_NAMESPACE", "default"));
}

ImageWork::ImageWork(Session& session, const ImageFlags& flags, const std::string& what)
    : flags_(flags),
      call_{oci::Call::Clock::time_point::max(), session.connection.stop()},
      store_(
          {session.connection.channel(), "ipcsd on " + session.connection.address(), {}, session.connection.timeout()},
          session.connection.address(), what, call_),
      bars_(what, session.flags.quiet || session.flags.no_progress ? ProgressMode::kOff : progress_mode(STDERR_FILENO),
            STDERR_FILENO),
      report_([this](const oci::Descriptor& blob, uint64_t done, const std::string& origin) {
        bars_.update(blob.digest().to_string(), done, blob.size(), origin);
      }) {
  registry_.http.proxies = oci::Proxies::from_environment();
  registry_.http.user_agent = "ipcsctl/" IPCS_VERSION;
  registry_.http.tls.ca_file = flags.ca;
  if (flags.plain_http) registry_.transport = oci::Transport::kHttp;
  // Read when it is first needed: most verbs don't.
  struct Docker {
    std::once_flag read;
    oci::DockerConfig config;
  };
  registry_.credentials = [docker = std::make_shared<Docker>()](const std::string& host, const oci::Call& call) {
    std::call_once(docker->read, [&] { docker->config = oci::DockerConfig::load(); });
    return oci::find_credentials(docker->config, host, call);
  };
}

ctrd::Client& ImageWork::client() {
  if (!client_) {
    client_ = connect_containerd(flags_);
    client_->images({"name==ipcsctl"}, call_);  // whether somebody is there, before hours of work for nothing
  }
  return *client_;
}

const image::Report& ImageWork::step(const std::string& label) {
  bars_.begin(label);
  return report_;
}

oci::Image ImageWork::bring(const image::Place& place, const PlatformFlags& platforms,
                            const oci::PlatformChoice& otherwise) {
  image::Source source = image::open_source(place, store_, containerd(), registry_, call_);
  const bool chosen = platforms.all || !platforms.platforms.empty();
  const auto choice = place.kind == image::PlaceKind::kContainerd && !chosen ? present(client(), source.root, call_)
                                                                             : choice_of(platforms, otherwise);
  return image::bring(source, store_, choice, step("fetch"), call_);
}

}  // namespace ipcs::cli
