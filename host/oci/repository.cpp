// Pulling: manifests whole, blobs in streams that go on after a cut, large ones in several ranges at once.
#include "oci/repository.hpp"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <map>
#include <mutex>
#include <thread>

#include "ipcs/error.hpp"
#include "oci/media_type.hpp"
#include "oci/text.hpp"

namespace ipcs::oci {
namespace {

constexpr size_t kPiece = 256 << 10;
constexpr uint64_t kWorthAFreshStart = 64 << 10;  // progress after which failures are counted anew
constexpr std::string_view kAccept =
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json, "
    "*/*;q=0.1";

std::string media_type_of(const HttpResponse& response) {
  std::string type = response.header("Content-Type");
  type = type.substr(0, type.find(';'));
  while (!type.empty() && type.back() == ' ') type.pop_back();
  return type;
}

// "bytes 5-9/10": where a partial answer begins, and the size of the whole (if known).
std::optional<std::pair<uint64_t, std::optional<uint64_t>>> parse_content_range(const std::string& header) {
  unsigned long long begin = 0, end = 0, total = 0;
  if (header.size() > 100) return std::nullopt;
  if (std::sscanf(header.c_str(), "bytes %llu-%llu/%llu", &begin, &end, &total) == 3)
    return std::pair(begin, std::optional<uint64_t>(total));
  if (std::sscanf(header.c_str(), "bytes %llu-%llu/*", &begin, &end) == 2)
    return std::pair(begin, std::optional<uint64_t>());
  return std::nullopt;
}

bool is_manifest_like(const Descriptor& blob) {
  return is_index(blob.media_type()) || is_manifest(blob.media_type());
}

}  // namespace

// An answer that brings a blob's bytes from `at` on.
struct Repository::Opened {
  HttpResponse response;
  uint64_t at;
  bool partial;  // the server knows ranges
};

Repository::Repository(Registry& registry, std::string path) : registry_(registry), path_(std::move(path)) {}

std::string Repository::thing(const Descriptor& blob) const {
  return (is_manifest_like(blob) ? "manifest " : "blob ") + blob.digest().to_string();
}

RegistryRequest Repository::request(std::string method, const std::string& target, std::string_view thing,
                                    const char* actions) const {
  RegistryRequest request;
  request.http.method = std::move(method);
  request.http.url = registry_.url("/v2/" + path_ + target);
  request.scopes = {"repository:" + path_ + ":" + actions};
  request.what = "registry " + registry_.host() + ": " + path_ + ": " + std::string(thing);
  return request;
}

Repository::Resolved Repository::manifest(const std::string& object, const Call& call) {
  RegistryRequest get = request("GET", "/manifests/" + object, "manifest " + object, "pull");
  get.http.headers.emplace_back("Accept", kAccept);
  return with_retries(registry_.options().retry, call, [&]() -> Resolved {
    HttpResponse response = registry_.send(get, call);
    std::string type = media_type_of(response);
    const std::string said = response.header("Docker-Content-Digest");
    std::string bytes;
    try {
      bytes = response.text(kMaxManifest);
    } catch (const Error& error) {
      throw Error(error.code(), get.what + ": " + error.what());
    }
    if (const auto length = response.length(); length && *length != bytes.size()) {
      throw Error(Code::kUnavailable, get.what + ": the answer was cut off");
    }
    auto wanted = Digest::try_parse(object);
    if (!wanted && !said.empty()) {
      wanted = Digest::try_parse(said);
      if (!wanted)
        throw Error(Code::kDataLoss, get.what + ": the registry names \"" + one_line(said, 80) + "\" as its digest");
    }
    const Digest digest = wanted ? Digest::of(bytes, wanted->algorithm()) : Digest::of(bytes);
    if (wanted && digest != *wanted) {
      throw Error(Code::kDataLoss,
                  get.what + ": the bytes have the digest " + digest.to_string() + ", not " + wanted->to_string());
    }
    const uint64_t size = bytes.size();
    Manifest parsed = Manifest::parse(std::move(bytes), type, get.what);
    return {Descriptor(parsed.media_type(), digest, size), std::move(parsed)};
  });
}

Descriptor Repository::resolve(const std::string& object, const Call& call) {
  RegistryRequest head = request("HEAD", "/manifests/" + object, "manifest " + object, "pull");
  head.http.headers.emplace_back("Accept", kAccept);
  head.accepted = {405};
  const HttpResponse response =
      with_retries(registry_.options().retry, call, [&] { return registry_.send(head, call); });
  const auto digest = Digest::try_parse(response.header("Docker-Content-Digest"));
  const std::string type = media_type_of(response);
  const auto length = response.length();
  const auto wanted = Digest::try_parse(object);
  const bool usable = response.status() == 200 && digest && length && (is_index(type) || is_manifest(type));
  if (usable && (!wanted || *wanted == *digest)) return {type, *digest, *length};
  return manifest(object, call).descriptor;
}

void Repository::read(const Descriptor& blob, uint64_t from, const Sink& sink, const Call& call) {
  Verifier verifier(blob, from, "registry " + registry_.host() + ": " + path_ + ": " + thing(blob));
  const Sink checked = [&](std::span<const uint8_t> piece) {
    verifier.update(piece);
    sink(piece);
  };
  if (is_manifest_like(blob)) {
    read_manifest(blob, from, checked, call);
  } else if (blob.size() > from) {
    try {
      read_blob(registry_.url("/v2/" + path_ + "/blobs/" + blob.digest().to_string()), blob, from, checked, call);
    } catch (const Error& error) {
      // The bytes of foreign layers lie elsewhere as a rule, and nothing has come from here.
      if (error.code() != Code::kNotFound || !is_foreign_layer(blob.media_type()) || verifier.offset() != from) throw;
      const auto url = std::find_if(blob.urls().begin(), blob.urls().end(),
                                    [](const std::string& u) { return u.starts_with("http"); });
      if (url == blob.urls().end()) throw;
      read_blob(Url::parse(*url), blob, from, checked, call);
    }
  }
  verifier.finish();
}

void Repository::read_manifest(const Descriptor& blob, uint64_t from, const Sink& sink, const Call& call) {
  const std::string object = blob.digest().to_string();
  if (blob.size() > kMaxManifest)
    throw Error(Code::kResourceExhausted,
                "registry " + registry_.host() + ": " + path_ + ": " + thing(blob) + ": larger than 8 MiB");
  RegistryRequest get = request("GET", "/manifests/" + object, thing(blob), "pull");
  get.http.headers.emplace_back("Accept", blob.media_type());
  const std::string bytes =
      with_retries(registry_.options().retry, call, [&] { return registry_.send(get, call).text(kMaxManifest); });
  if (bytes.size() < from)
    throw Error(Code::kDataLoss, get.what + ": " + std::to_string(bytes.size()) + " bytes, its descriptor says " +
                                     std::to_string(blob.size()));
  sink(std::span(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()).subspan(from));
}

Repository::Opened Repository::open(const Url& url, const Descriptor& blob, uint64_t begin, uint64_t end,
                                    const Call& call) {
  RegistryRequest get = request("GET", "", thing(blob), "pull");
  get.http.url = url;
  const bool whole = begin == 0 && end == blob.size();
  if (!whole) get.http.headers.emplace_back("Range", "bytes=" + std::to_string(begin) + "-" + std::to_string(end - 1));
  HttpResponse response = registry_.send(get, call);
  const auto lie = [&](const std::string& says) {
    return Error(Code::kDataLoss, get.what + ": the registry says " + says + ", the descriptor " +
                                      std::to_string(blob.size()) + " bytes");
  };
  if (const std::string encoding = response.header("Content-Encoding"); !encoding.empty() && encoding != "identity") {
    throw Error(Code::kDataLoss,
                get.what + ": sent in the encoding \"" + one_line(encoding, 40) + "\", which was not asked for");
  }
  if (response.status() == 206) {
    const auto range = parse_content_range(response.header("Content-Range"));
    if (!range || range->first != begin)
      throw lie("range " + one_line(response.header("Content-Range"), 60) + " from " + std::to_string(begin));
    if (range->second && *range->second != blob.size()) throw lie(std::to_string(*range->second) + " bytes");
    return {std::move(response), begin, true};
  }
  if (response.status() != 200) throw lie("status " + std::to_string(response.status()));
  if (const auto length = response.length(); length && *length != blob.size())
    throw lie(std::to_string(*length) + " bytes");
  return {std::move(response), 0, false};
}

// Bytes [begin, end) in order, going on after cuts. A server that ignores Range sends all of it: what was had is
// dropped.
void Repository::stream(const Url& url, const Descriptor& blob, uint64_t begin, uint64_t end,
                        std::optional<Opened> opened, const Sink& sink, const Call& call) {
  Backoff backoff(registry_.options().retry);
  std::vector<uint8_t> buffer(std::min<uint64_t>(kPiece, end - begin));
  uint64_t at = begin;
  bool in_sink = false;  // what a sink throws is not the registry's failure
  while (at < end) {
    const uint64_t before = at;
    try {
      if (!opened) opened = open(url, blob, at, end, call);
      while (at < end) {
        const size_t got = opened->response.read(buffer);
        if (got == 0)
          throw Error(Code::kUnavailable, "registry " + registry_.host() + ": " + path_ + ": " + thing(blob) +
                                              ": cut off at byte " + std::to_string(at));
        std::span<const uint8_t> piece(buffer.data(), got);
        const uint64_t dropped = std::min<uint64_t>(at > opened->at ? at - opened->at : 0, got);
        opened->at += got;
        piece = piece.subspan(dropped);
        piece = piece.first(std::min<uint64_t>(piece.size(), end == blob.size() ? piece.size() : end - at));
        if (piece.empty()) continue;
        in_sink = true;
        sink(piece);
        in_sink = false;
        at += piece.size();
      }
    } catch (const Error& failure) {
      if (in_sink) throw;
      opened.reset();
      if (at - before >= kWorthAFreshStart) backoff.reset();
      backoff.wait(failure, call);
    }
  }
  // One byte too many is a lie, too.
  if (opened && end == blob.size() && !opened->response.length() &&
      opened->response.read(std::span(buffer).first(1)) > 0)
    sink(std::span(buffer).first(1));
}

void Repository::read_blob(const Url& url, const Descriptor& blob, uint64_t from, const Sink& sink, const Call& call) {
  const RegistryOptions& options = registry_.options();
  if (options.ranges < 2 || blob.size() - from < options.ranges_from || blob.size() - from <= options.range_size) {
    return stream(url, blob, from, blob.size(), std::nullopt, sink, call);
  }
  Opened first =
      with_retries(options.retry, call, [&] { return open(url, blob, from, from + options.range_size, call); });
  if (!first.partial) return stream(url, blob, from, blob.size(), std::move(first), sink, call);
  read_ranges(url, blob, from, std::move(first), sink, call);
}

// Threads read ranges into memory, at most options.ranges beyond the one that is being passed on; this thread passes
// them on in their order.
void Repository::read_ranges(const Url& url, const Descriptor& blob, uint64_t from, Opened first, const Sink& sink,
                             const Call& call) {
  const RegistryOptions& options = registry_.options();
  const uint64_t size = options.range_size;
  const uint64_t count = (blob.size() - from + size - 1) / size;

  std::stop_source stop;
  const std::stop_callback forward(call.stop, [&stop] { stop.request_stop(); });
  const Call inner{call.deadline, stop.get_token()};
  std::mutex mutex;
  std::condition_variable_any changed;
  std::map<uint64_t, std::vector<uint8_t>> ready;
  uint64_t next = 0, passed = 0;
  std::exception_ptr failure;
  std::optional<Opened> opened(std::move(first));

  const auto work = [&] {
    try {
      for (;;) {
        std::unique_lock lock(mutex);
        if (!changed.wait(lock, inner.stop, [&] { return next >= count || next < passed + options.ranges; })) return;
        if (next >= count) return;
        const uint64_t index = next++;
        std::optional<Opened> mine = index == 0 ? std::exchange(opened, std::nullopt) : std::nullopt;
        lock.unlock();
        const uint64_t begin = from + index * size, end = std::min(begin + size, blob.size());
        std::vector<uint8_t> bytes;
        bytes.reserve(end - begin);
        stream(
            url, blob, begin, end, std::move(mine),
            [&](std::span<const uint8_t> piece) { bytes.insert(bytes.end(), piece.begin(), piece.end()); }, inner);
        lock.lock();
        ready.emplace(index, std::move(bytes));
        changed.notify_all();
      }
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
      changed.notify_all();
    }
  };

  std::vector<std::jthread> threads;
  // Whatever ends this thread ends the others' waiting before they are joined.
  struct Stop {
    std::stop_source& source;
    ~Stop() { source.request_stop(); }
  } const at_the_end{stop};
  for (uint64_t t = 0; t < std::min<uint64_t>(options.ranges, count); ++t) threads.emplace_back(work);
  while (passed < count) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return failure || ready.contains(passed); });
    if (failure) std::rethrow_exception(failure);
    const std::vector<uint8_t> bytes = std::move(ready.extract(passed).mapped());
    lock.unlock();
    for (size_t at = 0; at < bytes.size(); at += kPiece)
      sink(std::span(bytes).subspan(at, std::min(kPiece, bytes.size() - at)));
    lock.lock();
    ++passed;
    changed.notify_all();
  }
}

}  // namespace ipcs::oci
