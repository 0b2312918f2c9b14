// A Content on a backend in memory and a catalog in a temporary directory, with two containerds and an operator.
#pragma once

#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include "catalog/catalog.hpp"
#include "content/content.hpp"
#include "content/recovery.hpp"
#include "content/write_session.hpp"
#include "content/writer.hpp"
#include "host/content/memory_store.hpp"

namespace ipcs::test {

class TempDir {
 public:
  TempDir() {
    std::string name = (std::filesystem::temp_directory_path() / "ipcs-test-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    path_ = name;
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

inline Bytes bytes_of(std::string_view text) { return Bytes(text.begin(), text.end()); }
inline oci::Digest digest_of(std::string_view text) { return oci::Digest::of(text); }

// Goes through a listing to its end.
template <class Body>
void each_page(content::Listing listing, Body&& body) {
  const Call call;
  for (auto page = listing.next(call); !page.empty(); page = listing.next(call)) body(std::span<const content::Blob>(page));
}

// The code of the Error that `body` throws; kOk when it throws none.
template <class Body>
Code code_of(Body&& body) {
  try {
    body();
    return Code::kOk;
  } catch (const Error& e) {
    return e.code();
  }
}

struct World {
  TempDir dir;
  std::shared_ptr<Memory> memory = std::make_shared<Memory>();
  std::shared_ptr<Memory> before;  // the previous store's, null where there is none
  std::unique_ptr<Store> store, previous;
  std::unique_ptr<content::Stores> stores;
  std::unique_ptr<catalog::Catalog> catalog = catalog::Catalog::open(dir / "catalog.db");
  std::unique_ptr<content::Content> content;
  Call call;
  const content::Client a{"a"}, b{"b"}, op{content::kOperator, true};
  std::atomic<int64_t> time{1'000'000'000};
  std::chrono::milliseconds look_up_timeout{0};

  World() { reopen_stores(); }
  ~World() {
    content.reset();
    CHECK(memory->breaches_seen() == std::vector<std::string>());
    if (before) CHECK(before->breaches_seen() == std::vector<std::string>());
  }

  void reopen_stores() {
    content.reset();
    store = std::make_unique<Store>(open_memory_store(memory));
    previous = before ? std::make_unique<Store>(open_memory_store(before)) : nullptr;
    start();
  }
  void start() {
    content.reset();
    stores = std::make_unique<content::Stores>(*store, previous.get());
    content = std::make_unique<content::Content>(*stores, *catalog, content::Content::Options{2, look_up_timeout, [this] { return ++time; }, log::Log::none()});
  }
  // As after a restart of the daemon.
  void restart() {
    content.reset();
    catalog.reset();
    catalog = catalog::Catalog::open(dir / "catalog.db");
    start();
  }
  content::RecoveryReport recover(content::RecoveryOptions options = {}) {
    if (options.clients.empty()) options.clients = {"a", "b"};
    options.backend = "memory";
    options.previous = "before";
    return content::recover(call, *stores, *catalog, ++time, options, log::Log::none());
  }

  // The store becomes the previous one, and a new, empty one with the id `id` takes its place.
  void switch_store(const std::string& id = "memory-2") {
    content.reset();
    before = memory;
    before->read_only = true;
    memory = std::make_shared<Memory>();
    memory->id = id;
    reopen_stores();
  }
  // `current` and `former` (may be null) are the stores from now on.
  void use(std::shared_ptr<Memory> current, std::shared_ptr<Memory> former) {
    content.reset();
    memory = std::move(current);
    before = std::move(former);
    reopen_stores();
  }

  // Writes a blob in one go; returns its digest.
  oci::Digest put(const content::Client& client, std::string_view text, const content::Labels* labels = nullptr) {
    content::Writer writer = content->open_writer(call, client, "put-" + std::string(text.substr(0, 40)), 0, {});
    writer.write(call, bytes_of(text));
    return writer.commit(call, 0, {}, labels);
  }
  Code info_code(const content::Client& client, const oci::Digest& digest) {
    return code_of([&] { content->info(call, client, digest); });
  }
  std::vector<std::string> listed(const content::Client& client) {
    std::vector<std::string> found;
    each_page(content->list(client, content::Filter::parse({})), [&](std::span<const content::Blob> page) {
      for (const content::Blob& blob : page) found.push_back(blob.digest.to_string());
    });
    return found;
  }
  std::string read(const oci::Digest& digest) { return text_of(*content->open(call, digest)); }
  std::string text_of(const content::OpenBlob& blob) {
    Bytes bytes(blob.size);
    bytes.resize(blob.reader.read_at(call, 0, bytes));
    return std::string(bytes.begin(), bytes.end());
  }
};

using Names = std::vector<std::string>;
inline Names names(std::initializer_list<oci::Digest> digests) {
  Names result;
  for (const auto& digest : digests) result.push_back(digest.to_string());
  std::sort(result.begin(), result.end());
  return result;
}

}  // namespace ipcs::test

namespace Catch {
template <>
struct StringMaker<ipcs::Code> {
  static std::string convert(ipcs::Code code) { return ipcs::code_name(code); }
};
}  // namespace Catch
