// Messages to ipcsd, and whose a pin is.
#include "image/store.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "image/run_owner.hpp"
#include "ipcs/error.hpp"

namespace ipcs::image {
namespace {

constexpr auto kDropTime = std::chrono::seconds(30);

// A source of bytes that are there.
class Bytes : public oci::BlobSource {
 public:
  explicit Bytes(const std::string& bytes) : bytes_(bytes) {}
  void read(const oci::Descriptor&, uint64_t from, const oci::Sink& sink, const oci::Call&) override {
    const std::string_view rest = std::string_view(bytes_).substr(from);
    sink({reinterpret_cast<const uint8_t*>(rest.data()), rest.size()});
  }
  std::string name() const override { return "memory"; }

 private:
  const std::string& bytes_;
};

constexpr char kOperator[] = "operator";  // among the owners of pins

// Follows a call that makes a blob known to its end.
Adopted adopted(grpc::ClientReader<v1::AdoptResponse>& stream, Request& request, const Progress& progress, const Peer& peer,
                const oci::Call& call) {
  v1::AdoptResponse answer;
  try {
    while (stream.Read(&answer)) {
      if (progress && !answer.finished()) progress(answer.done_bytes());
    }
  } catch (...) {
    request.cancel();
    stream.Finish();
    throw;
  }
  check(stream.Finish(), peer, call);
  if (!answer.finished()) throw Error(Code::kInternal, "ipcsd ended a call before it had answered");
  return {oci::Digest::parse(answer.digest()), answer.cid(), answer.size(), answer.blocks(), answer.block_bytes()};
}

bool lists(const v1::FeaturesResponse& answer, const char* feature) {
  return std::find(answer.features().begin(), answer.features().end(), feature) != answer.features().end();
}

}  // namespace

Store::Store(Peer peer, const std::string& address, const std::string& work, const oci::Call& call)
    : peer_(std::move(peer)),
      note_("ipcsctl image " + work),
      owner_(new_run_owner()),
      control_(address, "ipcsd", "ipcsd"),
      content_(control_, owner_, ctrd::Content::Checks::kSize),
      admin_(v1::Admin::NewStub(peer_.channel)),
      dag_(v1::Dag::NewStub(peer_.channel)) {
  for (const v1::PinnedBlob& pin : list_pins(call)) {
    if (pin.owner() == kOperator) before_.insert(pin.digest());
    if (run_has_ended(pin.owner())) ended_.insert(pin.owner());
  }
  held_ = !ended_.empty();
}

Store::~Store() {
  try {
    drop_pins(oci::Call::within(kDropTime));
  } catch (const Error&) {
    // The daemon has gone. The next run drops the pins.
  }
}

void Store::need(std::initializer_list<const char*> features, const oci::Call& call) {
  const auto answer = ask<v1::FeaturesResponse>(peer_, *dag_, &v1::Dag::Stub::Features, v1::FeaturesRequest(), call);
  for (const char* feature : features) {
    if (!lists(answer, feature)) {
      throw Error(Code::kUnimplemented,
                  fmt::format("the backend \"{}\" does not offer {}: its blobs are no DAGs of blocks", answer.backend(),
                              feature));
    }
  }
}

bool Store::offers(const char* feature, const oci::Call& call) {
  return lists(ask<v1::FeaturesResponse>(peer_, *dag_, &v1::Dag::Stub::Features, v1::FeaturesRequest(), call), feature);
}

void Store::read(const oci::Descriptor& blob, uint64_t from, const oci::Sink& sink, const oci::Call& call) {
  content_.read(blob, from, sink, call);
}

bool Store::has(const oci::Descriptor& blob, const oci::Call& call) {
  const auto size = content_.size(blob.digest(), call);
  if (size && *size != blob.size()) {
    throw Error(Code::kFailedPrecondition, fmt::format("blob {}: has {} bytes in ipcsd, its descriptor says {}",
                                                       blob.digest().to_string(), *size, blob.size()));
  }
  return size && hold(blob.digest(), call);
}

void Store::put(const oci::Descriptor& blob, oci::BlobSource& source, const oci::Call& call) {
  held_ = true;  // what is written is pinned for this run from the first
  content_.put(blob, source, {}, call);
  if (!hold(blob.digest(), call)) {
    throw Error(Code::kNotFound,
                fmt::format("blob {}: was deleted from ipcsd as soon as it was stored", blob.digest().to_string()));
  }
}

oci::Digest Store::put(const std::string& bytes, const oci::Call& call) {
  const oci::Descriptor blob("application/octet-stream", oci::Digest::of(bytes), bytes.size());
  Bytes source(bytes);
  if (!has(blob, call)) put(blob, source, call);
  return blob.digest();
}

Adopted Store::adopt_blob(const oci::Digest& digest, const std::string& chunker, const std::string& profile,
                          const Progress& progress, const oci::Call& call) {
  v1::AdoptBlobRequest message;
  message.set_digest(digest.to_string());
  message.set_chunker(chunker);
  message.set_profile(profile);
  message.set_note(note_);
  message.set_owner(owner_);
  held_ = true;
  Request request(peer_, call);
  return adopted(*dag_->AdoptBlob(request.context(), message), request, progress, peer_, call);
}

Adopted Store::adopt_cid(const std::string& cid, const std::optional<oci::Digest>& digest, uint64_t size,
                         const Progress& progress, const oci::Call& call) {
  v1::AdoptCidRequest message;
  message.set_cid(cid);
  if (digest) message.set_digest(digest->to_string());
  message.set_expected_size(size);
  message.set_note(note_);
  message.set_owner(owner_);
  held_ = true;
  Request request(peer_, call);
  return adopted(*dag_->AdoptCid(request.context(), message), request, progress, peer_, call);
}

std::string Store::cid_of(const oci::Digest& digest, const oci::Call& call) {
  v1::LocateRequest message;
  message.set_digest(digest.to_string());
  return ask<v1::LocateResponse>(peer_, *dag_, &v1::Dag::Stub::Locate, message, call).cid();
}

void Store::list_blocks(const oci::Digest& digest, const std::function<void(const Block&)>& sink,
                        const oci::Call& call) {
  v1::ListBlocksRequest message;
  message.set_digest(digest.to_string());
  Request request(peer_, call);
  const auto stream = dag_->ListBlocks(request.context(), message);
  v1::ListBlocksResponse page;
  while (stream->Read(&page)) {
    for (const v1::Block& block : page.blocks()) sink({block.cid(), block.size(), block.leaf(), block.local()});
  }
  check(stream->Finish(), peer_, call);
}

void Store::export_car(const std::vector<std::string>& roots, const oci::Sink& sink, const oci::Call& call) {
  v1::ExportCarRequest message;
  for (const std::string& root : roots) message.add_roots(root);
  Request request(peer_, call);
  const auto stream = dag_->ExportCar(request.context(), message);
  v1::ExportCarResponse piece;
  try {
    while (stream->Read(&piece)) sink({reinterpret_cast<const uint8_t*>(piece.data().data()), piece.data().size()});
  } catch (...) {
    request.cancel();
    stream->Finish();
    throw;
  }
  check(stream->Finish(), peer_, call);
}

void Store::import_car(const std::function<std::string()>& next,
                       const std::function<void(const std::vector<std::string>&)>& then, const oci::Call& call) {
  Request request(peer_, call);
  const auto stream = dag_->ImportCar(request.context());
  bool over = false;
  const auto finish = [&] {
    over = true;
    check(stream->Finish(), peer_, call);
  };
  try {
    v1::ImportCarRequest message;
    bool heard = true;
    while (heard && !message.end()) {
      message.set_data(next());
      message.set_end(message.data().empty());
      heard = stream->Write(message);
    }
    v1::ImportCarResponse answer;
    if (!stream->Read(&answer)) {
      finish();
      throw Error(Code::kInternal, "ipcsd ended an import before it had answered");
    }
    then({answer.roots().begin(), answer.roots().end()});
    stream->WritesDone();
    finish();
  } catch (...) {
    if (!over) {
      request.cancel();
      stream->Finish();
    }
    throw;
  }
}

void Store::keep(const oci::Digest& digest, const std::string& note, const oci::Call& call) {
  if (before_.contains(digest.to_string())) return;
  if (!pin(digest, note, "", call)) throw Error(Code::kNotFound, "blob " + digest.to_string() + ": not in ipcsd any more");
}

bool Store::hold(const oci::Digest& digest, const oci::Call& call) {
  held_ = true;
  return pin(digest, note_, owner_, call);
}

bool Store::pin(const oci::Digest& digest, const std::string& note, const std::string& owner, const oci::Call& call) {
  v1::PinRequest message;
  message.set_digest(digest.to_string());
  message.set_note(note);
  message.set_owner(owner);
  try {
    ask<v1::PinResponse>(peer_, *admin_, &v1::Admin::Stub::Pin, message, call);
    return true;
  } catch (const Error& e) {
    if (e.code() != Code::kNotFound) throw;
    return false;
  }
}

std::vector<v1::PinnedBlob> Store::list_pins(const oci::Call& call) {
  Request request(peer_, call);
  const auto stream = admin_->ListPins(request.context(), {});
  std::vector<v1::PinnedBlob> pins;
  v1::ListPinsResponse page;
  while (stream->Read(&page)) pins.insert(pins.end(), page.pins().begin(), page.pins().end());
  check(stream->Finish(), peer_, call);
  return pins;
}

void Store::drop_pins(const oci::Call& call) {
  if (!held_.exchange(false)) return;
  for (const v1::PinnedBlob& pin : list_pins(call)) {
    if (pin.owner() != owner_ && !ended_.contains(pin.owner())) continue;
    v1::UnpinRequest message;
    message.set_digest(pin.digest());
    message.set_owner(pin.owner());
    try {
      ask<v1::UnpinResponse>(peer_, *admin_, &v1::Admin::Stub::Unpin, message, call);
    } catch (const Error& e) {
      if (e.code() != Code::kNotFound) throw;
    }
  }
}

}  // namespace ipcs::image
