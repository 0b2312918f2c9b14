// Reading and writing blobs over containerd's Content service.
#include "containerd/content.hpp"

#include "containerd/request.hpp"
#include "ipcs/error.hpp"
#include "oci/media_type.hpp"

namespace ipcs::ctrd {
namespace {

constexpr size_t kMessage = 1 << 20;
constexpr char kGcRef[] = "containerd.io/gc.ref.content.";

std::string thing(const oci::Descriptor& blob) {
  return "blob " + blob.digest().to_string();
}

bool is_manifest_like(const oci::Descriptor& blob) {
  return oci::is_index(blob.media_type()) || oci::is_manifest(blob.media_type());
}

// A descriptor's bytes that are already here.
class Bytes : public oci::BlobSource {
 public:
  explicit Bytes(const std::string& bytes) : bytes_(bytes) {}
  void read(const oci::Descriptor&, uint64_t from, const oci::Sink& sink, const oci::Call&) override {
    sink(std::span(reinterpret_cast<const uint8_t*>(bytes_.data()), bytes_.size()).subspan(from));
  }
  std::string name() const override { return ""; }

 private:
  const std::string& bytes_;
};

}  // namespace

Labels gc_labels(const oci::Manifest& manifest) {
  Labels labels;
  size_t layers = 0, manifests = 0;
  for (const oci::Child& child : manifest.children()) {
    std::string key = "config";
    if (child.role == oci::Role::kLayer) key = "l." + std::to_string(layers++);
    if (child.role == oci::Role::kManifest) key = "m." + std::to_string(manifests++);
    labels[kGcRef + key] = child.descriptor.digest().to_string();
  }
  return labels;
}

void Content::read(const oci::Descriptor& blob, uint64_t from, const oci::Sink& sink, const oci::Call& call) {
  const std::string what = client_.name() + ": " + thing(blob);
  std::optional<oci::Verifier> verifier;
  uint64_t offset = from;
  if (checks_ == Checks::kDigest) verifier.emplace(blob, from, what);
  if (from > blob.size())
    throw Error(Code::kOutOfRange, what + ": offset " + std::to_string(from) + " is behind its end");
  if (from < blob.size()) {
    Client::Request request(client_, call);
    content_api::ReadContentRequest read;
    read.set_digest(blob.digest().to_string());
    read.set_offset(static_cast<int64_t>(from));
    const auto reader = client_.stubs_->content.Read(request.context(), read);
    content_api::ReadContentResponse response;
    try {
      while (reader->Read(&response)) {
        const std::span<const uint8_t> piece(reinterpret_cast<const uint8_t*>(response.data().data()),
                                             response.data().size());
        if (verifier) verifier->update(piece);
        if (piece.size() > blob.size() - offset)
          throw Error(Code::kDataLoss, what + ": more bytes than its descriptor says");
        offset += piece.size();
        sink(piece);
      }
    } catch (...) {
      // gRPC wants a stream brought to its end.
      request.context()->TryCancel();
      while (reader->Read(&response)) {
      }
      reader->Finish();
      throw;
    }
    client_.check(reader->Finish(), thing(blob), call);
  } else {
    // Nothing is read, but it has to be there.
    if (!known(blob, call)) throw Error(Code::kNotFound, what + ": not found");
  }
  if (verifier) verifier->finish();
  if (offset != blob.size()) throw Error(Code::kDataLoss, what + ": fewer bytes than its descriptor says");
}

// Whether containerd has the blob for this namespace.
bool Content::known(const oci::Descriptor& blob, const oci::Call& call) {
  return size(blob.digest(), call) == blob.size();
}

std::optional<uint64_t> Content::size(const oci::Digest& digest, const oci::Call& call) {
  Client::Request request(client_, call);
  content_api::InfoRequest info;
  info.set_digest(digest.to_string());
  content_api::InfoResponse response;
  const grpc::Status status = client_.stubs_->content.Info(request.context(), info, &response);
  if (status.error_code() == grpc::StatusCode::NOT_FOUND) return std::nullopt;
  client_.check(status, "blob " + digest.to_string(), call);
  return static_cast<uint64_t>(response.info().size());
}

bool Content::has(const oci::Descriptor& blob, const oci::Call& call) {
  // Under a lease a blob that is there has to be taken into it, a manifest has to get its labels: put() does both.
  return lease_.empty() && !is_manifest_like(blob) && known(blob, call);
}

void Content::put(const oci::Descriptor& blob, oci::BlobSource& source, const oci::Call& call) {
  if (!is_manifest_like(blob)) {
    write(blob, source, {}, call);
    return;
  }
  const std::string bytes = oci::read_whole(source, blob, oci::kMaxManifest, call);
  Bytes known(bytes);
  put(blob, known, gc_labels(oci::Manifest::parse(bytes, blob.media_type(), thing(blob))), call);
}

void Content::put(const oci::Descriptor& blob, oci::BlobSource& source, const Labels& labels, const oci::Call& call) {
  // One that was there may lack them.
  if (!write(blob, source, labels, call)) add_labels(blob, labels, call);
}

// Writes the blob; false when it was there.
bool Content::write(const oci::Descriptor& blob, oci::BlobSource& source, const Labels& labels, const oci::Call& call) {
  const std::string digest = blob.digest().to_string();
  const auto message = [&](content_api::WriteAction action, uint64_t offset) {
    content_api::WriteContentRequest request;
    request.set_action(action);
    request.set_ref("ipcs-" + digest);
    request.set_total(static_cast<int64_t>(blob.size()));
    request.set_expected(digest);
    request.set_offset(static_cast<int64_t>(offset));
    return request;
  };
  bool afresh = false;  // what is held from before is no good
  for (;;) {
    Client::Request request(client_, call, lease_);
    const auto stream = client_.stubs_->content.Write(request.context());
    content_api::WriteContentResponse response;
    uint64_t offset = 0;
    bool resumed = false;
    struct Ended {};  // the stream has; why, Finish() says
    const auto exchange = [&](const content_api::WriteContentRequest& sent) {
      if (!stream->Write(sent) || !stream->Read(&response)) throw Ended{};
    };
    // Finish() waits for ever behind an answer that was not read.
    const auto end = [&] {
      while (stream->Read(&response)) {
      }
      return stream->Finish();
    };
    try {
      exchange(message(content_api::WriteAction::STAT, 0));
      offset = static_cast<uint64_t>(std::max<int64_t>(0, response.offset()));
      if (offset > 0 && (afresh || offset > blob.size()))
        exchange(message(content_api::WriteAction::WRITE, offset = 0));
      resumed = offset > 0;
      if (offset < blob.size()) {
        source.read(
            blob, offset,
            [&](std::span<const uint8_t> piece) {
              while (!piece.empty()) {
                const auto part = piece.first(std::min(kMessage, piece.size()));
                auto write = message(content_api::WriteAction::WRITE, offset);
                write.set_data(part.data(), part.size());
                exchange(write);
                offset += part.size();
                piece = piece.subspan(part.size());
              }
            },
            call);
      }
      auto commit = message(content_api::WriteAction::COMMIT, offset);
      for (const auto& [key, value] : labels) (*commit.mutable_labels())[key] = value;
      exchange(commit);
      stream->WritesDone();
    } catch (const Ended&) {
    } catch (...) {
      request.context()->TryCancel();
      end();
      throw;
    }
    const grpc::Status status = end();
    if (status.error_code() == grpc::StatusCode::ALREADY_EXISTS) return false;
    // The bytes that were held may have been wrong ones.
    if (status.error_code() == grpc::StatusCode::FAILED_PRECONDITION && resumed && !afresh) {
      afresh = true;
      continue;
    }
    const bool locked = status.error_code() == grpc::StatusCode::UNAVAILABLE &&
                        status.error_message().find("locked") != std::string::npos;
    if (!locked) {
      client_.check(status, thing(blob), call);
      return true;
    }
    // Another writer has it; when it is done, the blob is there.
    call.sleep(std::chrono::milliseconds(100));
  }
}

void Content::add_labels(const oci::Descriptor& blob, const Labels& labels, const oci::Call& call) {
  Client::Request request(client_, call);
  content_api::UpdateRequest update;
  update.mutable_info()->set_digest(blob.digest().to_string());
  for (const auto& [key, value] : labels) {
    (*update.mutable_info()->mutable_labels())[key] = value;
    update.mutable_update_mask()->add_paths("labels." + key);
  }
  if (labels.empty()) return;
  content_api::UpdateResponse response;
  client_.check(client_.stubs_->content.Update(request.context(), update, &response), thing(blob), call);
}

void Content::tag(const oci::Descriptor& root, const std::string&, const std::string& tag, const oci::Call& call) {
  if (!tag.empty()) client_.set_image(tag, root, {}, call);
}

}  // namespace ipcs::ctrd
