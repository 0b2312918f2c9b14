// A plugin as an author writes one: an empty read-only store that uses each of the host's services.
#include <fstream>

#include "ipcs/plugin.hpp"

namespace {

using namespace ipcs::plugin;
using ipcs::Code;
using ipcs::Error;

class NoBlobs : public Cursor {
  std::vector<Entry> next(const Call&, size_t) override { return {}; }
};

class Good : public ContentStore {
 public:
  static void validate(const Host& host, std::string_view config) {
    host.log(IPCS_LOG_INFO, "validating");
    if (config.find("colour") != std::string_view::npos)
      throw Error(Code::kInvalidArgument, "unknown key \"colour\"\n(did you mean \"color\"?)");
  }
  static std::unique_ptr<ContentStore> open(const Host& host, const Call& call, std::string_view config, bool read_only) {
    if (config.find("refuse") != std::string_view::npos) throw Error(Code::kUnavailable, "told to refuse");
    host.log(IPCS_LOG_WARN, "opening\nthe store", &call);
    host.count("opens", 2);
    host.gauge("level", 0.5);
    host.count("Not A Name");
    host.count("negative", -1);
    if (!host.scratch_dir().empty()) std::ofstream(host.scratch_dir() + "/used") << "by the plugin";
    return std::make_unique<Good>(host, read_only);
  }

  Good(const Host& host, bool read_only) : host_(host), read_only_(read_only) {}
  ~Good() override { host_.count("closes"); }  // the host's table outlives the store

  StoreInfo info(const Call&) override {
    StoreInfo info;
    info.id = "good-store";
    info.location = host_.scratch_dir();
    info.read_only = read_only_;
    return info;
  }
  Entry stat_blob(const Call& call, std::string_view digest) override {
    host_.progress(call, "search", 3, 4);
    throw none(digest);
  }
  std::unique_ptr<Reader> open_blob(const Call&, std::string_view digest) override { throw none(digest); }
  std::unique_ptr<Cursor> list_blobs(const Call&) override { return std::make_unique<NoBlobs>(); }
  void remove_blob(const Call&, std::string_view digest) override { throw none(digest); }
  std::unique_ptr<Ingest> open_ingest(const Call&, std::string_view key, bool, uint64_t) override { throw none(key); }
  std::unique_ptr<Cursor> list_ingests(const Call&) override { return std::make_unique<NoBlobs>(); }
  void discard_ingest(const Call&, std::string_view key) override { throw none(key); }

 private:
  static Error none(std::string_view name) { return Error(Code::kNotFound, std::string(name) + ": there is none"); }

  Host host_;
  bool read_only_;
};

}  // namespace

IPCS_PLUGIN(Good, "good", "1.2.3", "an empty store")
