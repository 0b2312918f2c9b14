// The local backend on the real file system: foreign directories, what it refuses, and its configuration.
#include <fcntl.h>
#include <sys/stat.h>

#include <fstream>

#include "api/loaded_plugin.hpp"
#include "config.hpp"

namespace ipcs::local {
namespace {

namespace fs = std::filesystem;

void write(const fs::path& path, std::string_view text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}
std::string hex_of(std::string_view text, oci::Algorithm algorithm = oci::Algorithm::kSha256) {
  return std::string(oci::Digest::of(text, algorithm).hex());
}

// The plugin on one directory, through the ABI.
struct Opened {
  explicit Opened(const fs::path& path, uint32_t flags = 0, const std::string& more = "") : host("") {
    const std::string config = "{\"path\":\"" + path.string() + "\"" + more + "}";
    const ipcs_plugin* plugin = ipcs::test::load_plugin(IPCS_PLUGIN_DIR "/local.so");
    ipcs_status status{};
    ipcs_store* raw = nullptr;
    detail::check(plugin->validate(host.table(), to_abi(config), &status), status);
    detail::check(plugin->open(host.table(), call.abi(), to_abi(config), flags, &raw, &status), status);
    store.emplace(plugin, raw, nullptr);
  }
  std::string read(const std::string& digest) {
    const BlobReader reader = store->open_blob(call, digest);
    std::vector<uint8_t> bytes(reader.size());
    reader.read_at(call, 0, bytes);
    return {bytes.begin(), bytes.end()};
  }
  void put(std::string_view text) {
    const std::string digest = "sha256:" + hex_of(text);
    Ingest ingest = store->open_ingest(call, "key", true, 0);
    ingest.append(call, std::span(reinterpret_cast<const uint8_t*>(text.data()), text.size()));
    ingest.commit(call, text.size(), digest, digest);
  }
  Call call;
  conformance::QuietHost host;
  std::optional<Store> store;
};

Error error_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error;
  }
  return Error(Code::kOk, "it succeeded");
}

}  // namespace

TEST_CASE("an existing containerd directory is served and left alone") {
  const ipcs::test::TemporaryDirectory directory;
  const fs::path& path = directory.path();
  const std::string name512 = hex_of("long", oci::Algorithm::kSha512);
  const std::string name384 = hex_of("middle", oci::Algorithm::kSha384);
  write(path / "blobs/sha256" / hex_of("first"), "first");
  write(path / "blobs/sha384" / name384, "middle");
  write(path / "blobs/sha512" / name512, "long");
  write(path / "blobs/sha256/not-a-digest", "x");
  write(path / "blobs/sha256" / std::string(64, 'A'), "x");
  write(path / "blobs/md5/0123456789abcdef0123456789abcdef", "x");
  write(path / "ingest/f00/data", "arriving");
  write(path / "ingest/f00/ref", "some ref");
  fs::create_directory(path / "blobs/sha256" / std::string(64, 'd'));
  fs::create_symlink(path / "blobs/sha256" / hex_of("first"), path / "blobs/sha256" / std::string(64, 'e'));
  REQUIRE(::mkfifo((path / "blobs/sha256" / std::string(64, 'f')).c_str(), 0600) == 0);

  Opened opened(path);
  std::set<std::string> names;
  for (const Entry& entry : opened.store->list_blobs(opened.call).next(opened.call)) names.insert(entry.name);
  CHECK(names == std::set<std::string>{"sha256:" + hex_of("first"), "sha384:" + name384, "sha512:" + name512});
  CHECK(opened.store->list_ingests(opened.call).next(opened.call).empty());
  CHECK(opened.read("sha256:" + hex_of("first")) == "first");
  CHECK(opened.read("sha384:" + name384) == "middle");
  CHECK(opened.read("sha512:" + name512) == "long");
  CHECK(opened.store->info(opened.call).used_bytes == 15);
  for (const char digit : {'d', 'e', 'f'}) {
    const std::string digest = "sha256:" + std::string(64, digit);
    CHECK_FALSE(opened.store->stat_blob(opened.call, digest));
    CHECK(error_of([&] { opened.store->open_blob(opened.call, digest); }).code() == Code::kNotFound);
  }
  opened.put("second");
  CHECK(fs::exists(path / "ingest/f00/data"));
  CHECK(fs::exists(path / "blobs/sha256/not-a-digest"));

  // and back: containerd finds what was added, as it would have written it
  struct stat st {};
  REQUIRE(::stat((path / "blobs/sha256" / hex_of("second")).c_str(), &st) == 0);
  CHECK((st.st_mode & 07777) == 0444);
  CHECK(st.st_size == 6);
}

TEST_CASE("an OCI layout is served") {
  const ipcs::test::TemporaryDirectory directory;
  write(directory.path() / "oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}");
  write(directory.path() / "index.json", "{}");
  write(directory.path() / "blobs/sha256" / hex_of("layer"), "layer");
  Opened opened(directory.path());
  CHECK(opened.read("sha256:" + hex_of("layer")) == "layer");
  CHECK(fs::exists(directory.path() / "index.json"));
}

TEST_CASE("read-only leaves no trace, and the id of a directory without one is made of the directory") {
  const ipcs::test::TemporaryDirectory directory;
  write(directory.path() / "blobs/sha256" / hex_of("layer"), "layer");
  {
    Opened opened(directory.path(), IPCS_OPEN_READ_ONLY);
    CHECK(opened.read("sha256:" + hex_of("layer")) == "layer");
    CHECK(opened.store->info(opened.call).id.rfind("device-", 0) == 0);
  }
  const auto entries = std::distance(fs::directory_iterator(directory.path()), fs::directory_iterator());
  CHECK(entries == 1);
  std::string id;
  {
    Opened opened(directory.path());
    id = opened.store->info(opened.call).id;
    CHECK(id.size() == 32);
  }
  CHECK(Opened(directory.path(), IPCS_OPEN_READ_ONLY).store->info(Call()).id == id);
  const Error error = error_of([&] { Opened(directory.path() / "none", IPCS_OPEN_READ_ONLY); });
  CHECK(error.code() == Code::kFailedPrecondition);
  CHECK(std::string(error.what()).find((directory.path() / "none").string()) != std::string::npos);
}

TEST_CASE("a second writer of the directory is refused") {
  const ipcs::test::TemporaryDirectory directory;
  const Opened first(directory.path());
  const Error error = error_of([&] { Opened second(directory.path()); });
  CHECK(error.code() == Code::kFailedPrecondition);
  CHECK(std::string(error.what()).find("in use") != std::string::npos);
  Opened reader(directory.path(), IPCS_OPEN_READ_ONLY);
}

TEST_CASE("a damaged id file is named") {
  const ipcs::test::TemporaryDirectory directory;
  write(directory.path() / "ipcs-store-id", "");
  const Error error = error_of([&] { Opened opened(directory.path()); });
  CHECK(error.code() == Code::kFailedPrecondition);
  CHECK(std::string(error.what()).find("ipcs-store-id") != std::string::npos);
}

TEST_CASE("a file in the place of a directory is named") {
  const ipcs::test::TemporaryDirectory directory;
  write(directory.path() / "blobs", "");
  const Error error = error_of([&] { Opened opened(directory.path()); });
  CHECK(error.code() == Code::kFailedPrecondition);
  CHECK(std::string(error.what()).find((directory.path() / "blobs").string()) != std::string::npos);
}

TEST_CASE("a blob that is cut short while it is open is lost data") {
  const ipcs::test::TemporaryDirectory directory;
  Opened opened(directory.path());
  opened.put("some text");
  const BlobReader reader = opened.store->open_blob(opened.call, "sha256:" + hex_of("some text"));
  fs::resize_file(directory.path() / "blobs/sha256" / hex_of("some text"), 4);
  std::array<uint8_t, 9> bytes{};
  CHECK(reader.read_at(opened.call, 0, std::span(bytes).first(4)) == 4);
  CHECK(error_of([&] { reader.read_at(opened.call, 0, bytes); }).code() == Code::kDataLoss);
}

TEST_CASE("quarantine keeps every damaged copy") {
  const ipcs::test::TemporaryDirectory directory;
  Opened opened(directory.path());
  for (const char* name : {"1", "2"}) {
    opened.put("text");
    CHECK(opened.store->quarantine_blob(opened.call, "sha256:" + hex_of("text")));
    CHECK(fs::exists(directory.path() / "quarantine/sha256" / (hex_of("text") + "." + name)));
  }
  CHECK(opened.store->info(opened.call).used_bytes == 0);
}

TEST_CASE("a second name of a blob is no ingest") {
  const ipcs::test::TemporaryDirectory directory;
  Opened opened(directory.path());
  opened.put("text");
  fs::create_hard_link(directory.path() / "blobs/sha256" / hex_of("text"), directory.path() / "ipcs-ingest/other");
  Ingest ingest = opened.store->open_ingest(opened.call, "other", true, 0);
  CHECK(ingest.size() == 0);
  ingest.append(opened.call, std::array<uint8_t, 3>{1, 2, 3});
  CHECK(opened.read("sha256:" + hex_of("text")) == "text");
}

TEST_CASE("the configuration") {
  CHECK(parse_config(R"({"path":"/x"})").path == "/x");
  CHECK(parse_config(R"({"path":"/x"})").quota == 0);
  CHECK(parse_config(R"({"path":"/x"})").full_at == 0.95);
  CHECK(parse_config(R"({"path":"/x"})").fsync);
  CHECK(parse_config(R"({"path":"/x","quota":4096,"full_at":1,"fsync":false})").quota == 4096);
  CHECK(parse_config(R"({"path":"/x","quota":"10GiB"})").quota == uint64_t{10} << 30);
  CHECK(parse_size("1.5 kB") == 1500);
  CHECK(parse_size("0") == 0);

  const auto message = [](const char* json) {
    const Error error = error_of([&] { parse_config(json); });
    CHECK(error.code() == Code::kInvalidArgument);
    return std::string(error.what());
  };
  CHECK(message(R"({"path":"/x","qota":1})") == "unknown key \"qota\" (did you mean \"quota\"?)");
  CHECK(message(R"({"path":"/x","fullat":1})") == "unknown key \"fullat\" (did you mean \"full_at\"?)");
  for (const char* json : {R"({})", R"({"path":""})", R"({"path":1})"})
    CHECK(message(json).find("\"path\"") != std::string::npos);
  for (const char* json :
       {R"({"path":"/x","quota":-1})", R"({"path":"/x","quota":"ten"})", R"({"path":"/x","quota":"1 XB"})",
        R"({"path":"/x","quota":"99999999999TiB"})", R"({"path":"/x","quota":true})"})
    CHECK(message(json).find("\"quota\"") != std::string::npos);
  for (const char* json :
       {R"({"path":"/x","full_at":1.5})", R"({"path":"/x","full_at":"0.5"})", R"({"path":"/x","full_at":-1})"})
    CHECK(message(json).find("\"full_at\"") != std::string::npos);
  CHECK(message(R"({"path":"/x","fsync":1})").find("\"fsync\"") != std::string::npos);
}

TEST_CASE("validate touches nothing") {
  const ipcs::test::TemporaryDirectory directory;
  const conformance::QuietHost host("");
  const std::string config = "{\"path\":\"" + (directory.path() / "store").string() + "\"}";
  ipcs_status status{};
  CHECK(ipcs::test::load_plugin(IPCS_PLUGIN_DIR "/local.so")->validate(host.table(), to_abi(config), &status) ==
        IPCS_OK);
  CHECK(fs::is_empty(directory.path()));
}

}  // namespace ipcs::local
