// Pushing: mounts, uploads that go on after a cut, manifests.
#include <algorithm>

#include "ipcs/error.hpp"
#include "oci/media_type.hpp"
#include "oci/repository.hpp"
#include "oci/text.hpp"

namespace ipcs::oci {
namespace {

bool is_manifest_like(const Descriptor& blob) {
  return is_index(blob.media_type()) || is_manifest(blob.media_type());
}

}  // namespace

// An upload under way: where its next request goes, and how much the registry has.
struct Repository::Session {
  Url location;
  uint64_t offset = 0;

  void moved(const HttpResponse& response, const std::string& what) {
    const std::string next = response.header("Location");
    if (next.empty()) return;
    try {
      location = location.resolve(next);
    } catch (const Error& error) {
      throw Error(Code::kFailedPrecondition, what + ": the upload's place: " + error.what());
    }
  }
};

void Repository::mount_from(std::string path) {
  mounts_.push_back(std::move(path));
}

bool Repository::has(const Descriptor& blob, const Call& call) {
  const std::string kind = is_manifest_like(blob) ? "/manifests/" : "/blobs/";
  RegistryRequest head = request("HEAD", kind + blob.digest().to_string(), thing(blob), "pull,push");
  if (is_manifest_like(blob)) head.http.headers.emplace_back("Accept", blob.media_type());
  head.accepted = {404};
  const HttpResponse response =
      with_retries(registry_.options().retry, call, [&] { return registry_.send(head, call); });
  if (response.status() != 200) return false;
  const auto length = response.length();
  return !length || *length == blob.size();
}

void Repository::put(const Descriptor& blob, BlobSource& source, const Call& call) {
  if (is_manifest_like(blob)) {
    const std::string bytes = read_whole(source, blob, kMaxManifest, call);
    return put_manifest(blob.digest().to_string(), blob.media_type(), bytes, blob.digest(), call);
  }
  upload(blob, source, call);
}

void Repository::tag(const Descriptor& root, const std::string& bytes, const std::string& tag, const Call& call) {
  if (!tag.empty()) put_manifest(tag, root.media_type(), bytes, root.digest(), call);
}

void Repository::put_manifest(const std::string& object, std::string_view media_type, const std::string& bytes,
                              const Digest& digest, const Call& call) {
  RegistryRequest put = request("PUT", "/manifests/" + object, "manifest " + object, "pull,push");
  put.http.headers.emplace_back("Content-Type", media_type);
  put.http.body = bytes;
  const HttpResponse response =
      with_retries(registry_.options().retry, call, [&] { return registry_.send(put, call); });
  const std::string stored = response.header("Docker-Content-Digest");
  if (!stored.empty() && stored != digest.to_string()) {
    throw Error(Code::kDataLoss,
                put.what + ": the registry stored it as " + one_line(stored, 100) + ", not " + digest.to_string());
  }
}

// Begins an upload; nothing when the blob was mounted from the repository `mount` instead ("" for no such wish).
std::optional<Repository::Session> Repository::start_upload(const Descriptor& blob, const std::string& mount,
                                                            const Call& call) {
  std::string target = "/blobs/uploads/";
  if (!mount.empty())
    target += "?mount=" + percent_encode(blob.digest().to_string()) + "&from=" + percent_encode(mount);
  RegistryRequest post = request("POST", target, thing(blob), "pull,push");
  if (!mount.empty()) post.scopes.push_back("repository:" + mount + ":pull");
  const HttpResponse response = registry_.send(post, call);
  if (!mount.empty() && response.status() == 201) return std::nullopt;
  if (response.header("Location").empty()) {
    throw Error(Code::kFailedPrecondition, post.what + ": the registry does not say where to upload to");
  }
  Session session{post.http.url, 0};
  session.moved(response, post.what);
  return session;
}

// An upload for the blob, which a mount may have made needless.
std::optional<Repository::Session> Repository::mount_or_start(const Descriptor& blob, const Call& call) {
  for (const std::string& mount : mounts_) {
    if (mount == path_) continue;
    try {
      // An answer that is no mount is an upload.
      return with_retries(registry_.options().retry, call, [&] { return start_upload(blob, mount, call); });
    } catch (const Error& error) {
      // Not ours to read, perhaps: then it is sent.
      const bool refused = error.code() == Code::kUnauthenticated || error.code() == Code::kPermissionDenied ||
                           error.code() == Code::kNotFound;
      if (!refused) throw;
    }
  }
  return with_retries(registry_.options().retry, call, [&] { return start_upload(blob, "", call); });
}

void Repository::upload(const Descriptor& blob, BlobSource& source, const Call& call) {
  const RegistryOptions& options = registry_.options();
  std::optional<Session> session = mount_or_start(blob, call);
  if (!session) return;
  const bool whole = blob.size() <= options.whole_upload_up_to;
  const std::string small = whole ? read_whole(source, blob, options.whole_upload_up_to, call) : "";

  Backoff backoff(options.retry);
  uint64_t furthest = 0;
  for (bool again = false;; again = true) {
    try {
      if (again && session && !find_offset(blob, *session, call)) session.reset();
      if (!session) {
        // What looked like a failure may have been the loss of the answer.
        if (has(blob, call)) return;
        session = start_upload(blob, "", call);
      }
      if (session->offset > furthest) {
        furthest = session->offset;
        backoff.reset();
      }
      if (!whole) send_rest(blob, source, *session, call);
      return finish_upload(blob, small, *session, call);
    } catch (const Error& failure) {
      backoff.wait(failure, call);
      if (whole) session.reset();
    }
  }
}

// Sends the bytes from the session's offset on.
void Repository::send_rest(const Descriptor& blob, BlobSource& source, Session& session, const Call& call) {
  if (session.offset == blob.size()) return;
  RegistryRequest patch = request("PATCH", "", thing(blob), "pull,push");
  patch.http.url = session.location;
  patch.http.headers.emplace_back("Content-Type", "application/octet-stream");
  if (session.offset > 0) {
    patch.http.headers.emplace_back("Content-Range",
                                    std::to_string(session.offset) + "-" + std::to_string(blob.size() - 1));
  }
  patch.http.length = blob.size() - session.offset;
  patch.http.writer = [&](const auto& write) { source.read(blob, session.offset, write, call); };
  const HttpResponse response = registry_.send(patch, call);
  session.offset = blob.size();
  session.moved(response, patch.what);
}

// Asks how much of an interrupted upload has arrived; false when the upload is no more, or it can't be said.
bool Repository::find_offset(const Descriptor& blob, Session& session, const Call& call) {
  RegistryRequest get = request("GET", "", thing(blob), "pull,push");
  get.http.url = session.location;
  get.accepted = {400, 404, 405, 416};
  const HttpResponse response = registry_.send(get, call);
  if (response.status() / 100 != 2) return false;
  unsigned long long first = 0, last = 0;
  const std::string range = response.header("Range");
  if (range.size() > 60 || (std::sscanf(range.c_str(), "%llu-%llu", &first, &last) != 2 &&
                            std::sscanf(range.c_str(), "bytes=%llu-%llu", &first, &last) != 2)) {
    return false;
  }
  // "0-0" is said of nothing and of one byte.
  if (first != 0 || last == 0 || last >= blob.size()) return false;
  session.offset = last + 1;
  session.moved(response, get.what);
  return true;
}

// Gives the upload its digest, with all its bytes where none have been sent.
void Repository::finish_upload(const Descriptor& blob, const std::string& bytes, Session& session, const Call& call) {
  RegistryRequest put = request("PUT", "", thing(blob), "pull,push");
  put.http.url = session.location;
  std::string& target = put.http.url.target;
  target +=
      (target.find('?') == std::string::npos ? "?" : "&") + ("digest=" + percent_encode(blob.digest().to_string()));
  put.http.headers.emplace_back("Content-Type", "application/octet-stream");
  put.http.body = bytes;
  const HttpResponse response = registry_.send(put, call);
  const std::string stored = response.header("Docker-Content-Digest");
  if (!stored.empty() && stored != blob.digest().to_string()) {
    throw Error(Code::kDataLoss, put.what + ": the registry stored it as " + one_line(stored, 100));
  }
}

}  // namespace ipcs::oci
