// An ipcsd's control socket in front of a store in memory whose blobs are "DAGs": chunks of four bytes below one root.
#pragma once

#include "host/content/world.hpp"
#include "image/rpc.hpp"
#include "image/store.hpp"
#include "service/admin_service.hpp"
#include "service/content_service.hpp"
#include "service/dag_service.hpp"
#include "service/server.hpp"

namespace ipcs::test {

// The root block of a blob in a profile; its hash is the p2p digest. Raw ones of one chunk are their own.
inline std::string root_block(const Bytes& bytes, std::string_view profile) {
  return "root of " + std::string(profile) + ": " + std::string(bytes.begin(), bytes.end());
}
inline std::string p2p_digest_of(std::string_view text, std::string_view profile = "default") {
  return digest_of(root_block(bytes_of(text), profile)).to_string();
}
inline std::string cid_text(const std::string& digest, std::string_view profile = "default") {
  return "f01701220" + oci::Digest::parse(digest).to_string().substr(7) + (profile == "default" ? "" : "-v1");
}

struct Chunks : plugin::BlockCursor {
  explicit Chunks(const Bytes& b) : bytes(b) {}
  std::vector<plugin::BlockEntry> next(const plugin::Call&, size_t capacity) override {
    std::vector<plugin::BlockEntry> page;
    if (at == 0 && !begun)
      page.push_back({"root-" + digest_of({reinterpret_cast<const char*>(bytes.data()), bytes.size()}).to_string(), 100,
                      0, bytes.size(), false, true});
    begun = true;
    for (; at < bytes.size() && page.size() < capacity; at += 4) {
      const size_t size = std::min<size_t>(4, bytes.size() - at);
      page.push_back({"leaf-" + std::string(bytes.begin() + static_cast<ptrdiff_t>(at),
                                            bytes.begin() + static_cast<ptrdiff_t>(at + size)),
                      size, at, size, true, true});
    }
    return page;
  }
  Bytes bytes;
  size_t at = 0;
  bool begun = false;
};

class DagStore final : public memory::Store, public plugin::BlockLister, public plugin::Adopter {
 public:
  using memory::Store::Store;
  const void* extension(std::string_view id) noexcept override { return plugin::extension_of<DagStore>(id); }

  // That of Chunks' root, whatever digest leads to the bytes.
  std::string cid_of(const plugin::Call& call, std::string_view digest) override {
    stat_blob(call, digest);
    const std::lock_guard lock(memory_->mutex);
    const Bytes& bytes = *memory_->blobs.at(std::string(digest)).bytes;
    return "root-" + digest_of({reinterpret_cast<const char*>(bytes.data()), bytes.size()}).to_string();
  }
  std::unique_ptr<plugin::BlockCursor> list_blocks(const plugin::Call& call, std::string_view digest) override {
    stat_blob(call, digest);
    memory_->enter("list_blocks", call);
    const std::lock_guard lock(memory_->mutex);
    return std::make_unique<Chunks>(*memory_->blobs.at(std::string(digest)).bytes);
  }
  plugin::Adopted adopt_blob(const plugin::Call& call, std::string_view digest, std::string_view chunker,
                             std::string_view profile) override {
    if (chunker == "bad") throw Error(Code::kInvalidArgument, "chunker \"bad\": unknown");
    stat_blob(call, digest);
    memory_->enter(("adopt_blob " + std::string(digest)).c_str(), call);
    const std::lock_guard lock(memory_->mutex);
    const auto bytes = memory_->blobs.at(std::string(digest)).bytes;
    const std::string root = digest_of(root_block(*bytes, profile)).to_string();
    memory_->blobs[root] = {bytes, 1, true};
    memory_->roots[root] = oci::Digest::of(std::span<const uint8_t>(*bytes)).to_string();
    return {root, cid_text(root, profile), bytes->size(), 2, bytes->size() + 100};
  }
  plugin::Adopted adopt_cid(const plugin::Call& call, std::string_view cid, std::string_view digest,
                            uint64_t size) override {
    memory_->enter(("adopt_cid " + std::string(digest)).c_str(), call);
    const std::lock_guard lock(memory_->mutex);
    const auto found = memory_->network.find(std::string(cid));
    const auto here = memory_->blobs.find("sha256:" + std::string(cid.substr(std::min<size_t>(9, cid.size()))));
    // What is here already only gets another digest.
    const bool another = here != memory_->blobs.end() && here->second.root_digest && !digest.empty() && digest != here->first;
    if (found == memory_->network.end() && !another)
      throw Error(Code::kNotFound, "CID " + std::string(cid) + ": nobody has it");
    const auto bytes = found != memory_->network.end() ? std::make_shared<const Bytes>(found->second) : here->second.bytes;
    if (size != 0 && size != bytes->size()) throw Error(Code::kFailedPrecondition, "another size");
    const std::string own = "sha256:" + std::string(cid.substr(9, 64));
    const std::string name = digest.empty() ? own : std::string(digest);
    const bool root = name == own;
    if (!root && oci::Digest::of(std::span<const uint8_t>(*bytes)).to_string() != name)
      throw Error(Code::kFailedPrecondition, "other bytes");
    memory_->blobs[name] = {bytes, 1, root};
    return {name, std::string(cid), bytes->size(), 0, 0};
  }
};

struct Node {
  explicit Node(bool offers = true) {
    if (offers) {
      world.content.reset();
      world.store = std::make_unique<Store>(open_memory_store<DagStore>(world.memory));
      world.start();
    }
    content = std::make_unique<service::ContentService>(*world.content, world.op);
    for_a = std::make_unique<service::ContentService>(*world.content, world.a);
    admin = std::make_unique<service::AdminService>(*world.content, service::AdminService::Facts(), log::Log::none());
    dag = std::make_unique<service::DagService>(*world.content, log::Log::none());
    server = service::Server::start({world.dir / "control.sock", {}, {}, 0600},
                                    {content->methods(), {admin.get(), dag.get()}}, lanes, log::Log::none());
    server_a =
        service::Server::start({world.dir / "a.sock", {}, {}, 0600}, {for_a->methods(), {}}, lanes, log::Log::none());
    peer = {image::dial(world.dir / "control.sock", "ipcsd", ""), "ipcsd", {}, {}};
  }
  ~Node() {
    server.reset();
    server_a.reset();
  }

  std::vector<v1::PinnedBlob> all_pins() {
    std::vector<v1::PinnedBlob> pins;
    const auto stub = v1::Admin::NewStub(peer.channel);
    grpc::ClientContext context;
    const auto stream = stub->ListPins(&context, {});
    v1::ListPinsResponse page;
    while (stream->Read(&page)) pins.insert(pins.end(), page.pins().begin(), page.pins().end());
    CHECK(stream->Finish().ok());
    return pins;
  }
  // Notes by digest, where each blob has one pin.
  std::map<std::string, std::string> pins() {
    std::map<std::string, std::string> notes;
    for (const auto& pin : all_pins()) CHECK(notes.emplace(pin.digest(), pin.note()).second);
    return notes;
  }
  // Notes of a blob's pins by owner.
  std::map<std::string, std::string> notes_on(const oci::Digest& digest) {
    std::map<std::string, std::string> notes;
    for (const auto& pin : all_pins()) {
      if (pin.digest() == digest.to_string()) notes[pin.owner()] = pin.note();
    }
    return notes;
  }

  World world;
  std::string control = world.dir / "control.sock";
  std::unique_ptr<service::ContentService> content, for_a;
  std::unique_ptr<service::AdminService> admin;
  std::unique_ptr<service::DagService> dag;
  service::Lanes lanes;
  std::unique_ptr<service::Server> server, server_a;
  image::Peer peer;
  oci::Call call = oci::Call::within(std::chrono::seconds(60));
};

}  // namespace ipcs::test
