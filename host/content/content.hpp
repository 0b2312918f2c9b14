// Content store semantics as containerd expects them, on any backend, without gRPC.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catalog/catalog.hpp"
#include "content/blob_cache.hpp"
#include "content/change_watch.hpp"
#include "content/filter.hpp"
#include "content/keyed_mutex.hpp"
#include "content/look_up.hpp"
#include "content/stores.hpp"
#include "ipcs/store.hpp"
#include "log/log.hpp"
#include "oci/digest.hpp"

namespace ipcs::content {

using catalog::Blob;
using catalog::kOperator;
using catalog::Labels;
using oci::Digest;

// Who asks: a listening socket, which is one containerd, or the operator on the control socket. What a containerd
// sees, lists and deletes are its own claims; the operator sees every blob, and what he writes is pinned.
struct Client {
  std::string name;
  bool is_operator = false;
  std::string owner = kOperator;  // of the operator's: whose pins what he writes and finds gets

  // The name under which the catalog lists this client's blobs; empty lists everybody's.
  std::string list_name() const { return is_operator ? std::string() : name; }
};

// The state of an ingest.
struct IngestStatus {
  std::string client;
  std::string ref;
  std::string expected;  // digest, may be empty
  uint64_t offset = 0;   // bytes held
  uint64_t total = 0;    // bytes announced, 0: not known
  int64_t started_ns = 0;  // since 1970 UTC
  int64_t updated_ns = 0;
};

class Writer;
struct OpenIngest;

// A listing under way: the blobs of a client that match a filter, in the order of their digests. No lock is held between
// pages; a blob that comes or goes meanwhile may be in it or not. Must go before its Content does. One thread.
class Listing {
 public:
  Listing(const catalog::Catalog& catalog, std::string client, Filter filter)
      : catalog_(catalog), client_(std::move(client)), filter_(std::move(filter)) {}

  // The next blobs, 100 of them unless they are the last or have very many labels; none when the listing is over.
  // kCancelled: the catalog may have no match for long.
  std::vector<Blob> next(const Call& call);

 private:
  const catalog::Catalog& catalog_;
  const std::string client_;  // as Client::list_name() gives it
  const Filter filter_;
  std::string after_;         // the last digest that was looked at
  std::vector<Blob> found_;   // that match and were not given out yet
  bool over_ = false;         // the catalog has no more
};

// A ref or another text of a client's for a message: its start, with bytes that are not printable ASCII escaped.
std::string printable(std::string_view foreign);

// A backend and its catalog, served to many clients. All functions are [thread-safe], throw Error, and answer from
// local state, open() and look_up() excepted. Locks are held per digest and per ref only, and never over a callback.
class Content {
 public:
  struct Options {
    size_t open_blobs = 256;         // kept open between reads
    std::chrono::milliseconds look_up_timeout{0};  // of a search for an unknown blob; 0: none
    std::function<int64_t()> now;    // nanoseconds since 1970 UTC; empty: the system's clock
    log::Log log = log::Log::none();
  };

  // `stores` and `catalog` outlive this object, and no Writer does.
  Content(Stores& stores, catalog::Catalog& catalog, Options options);
  ~Content();
  Content(const Content&) = delete;
  Content& operator=(const Content&) = delete;

  // The blob. Saying yes gives the client a claim first, since containerd then records the blob as its own.
  // kNotFound; kDataLoss when the bytes on disk are fewer or more than the catalog remembers.
  Blob info(const Call& call, const Client& client, const Digest& digest);

  // As info(), but nothing where the blob is not stored.
  std::optional<Blob> find(const Call& call, const Client& client, const Digest& digest);

  // For a blob that is not stored: whether look_up() might find it. Never waits.
  bool may_be_found(const Digest& digest) const { return look_ups_.worthwhile(digest); }
  // Searches the network for it; returns whether it is stored now. Waits as long as the options say.
  bool look_up(const Call& call, const Digest& digest) { return look_ups_.find(call, digest); }
  // Ends all searches and begins no more. Waits for the backend, which may ignore that they were cancelled.
  void stop_look_ups() { look_ups_.stop(); }

  // Changes labels: with no `paths` or "labels" all of them, with "labels.<key>" that one. Returns the blob as it is
  // afterwards. kInvalidArgument for other paths and for labels beyond content/limits.hpp, kNotFound.
  Blob update(const Call& call, const Client& client, const Digest& digest, const Labels& labels,
              std::span<const std::string> paths);

  // Starts a listing of the client's blobs that match.
  Listing list(const Client& client, Filter filter) const { return Listing(catalog_, client.list_name(), std::move(filter)); }

  // Drops the client's claim (the operator's own pin); the bytes go when nothing else holds them. No error when there is
  // no such blob, and none when the backend can't remove the bytes or the catalog can't drop the claim: that would end
  // containerd's garbage collection. The operator is told when his pin can't be dropped.
  void remove(const Call& call, const Client& client, const Digest& digest);

  // Drops the claim of a client that is not served any more, and the bytes when nothing else holds the blob. Returns
  // how many bytes the current store got rid of; nothing when it has none of the blob or they stay. Unlike remove()
  // throws, and nothing is changed, when the claim can't be dropped.
  std::optional<uint64_t> drop_claim(const Call& call, const std::string& client, const Digest& digest);

  // Whether those who hold blobs and the stores agree about one, looked at under its lock.
  enum class Agreement { kAgree, kUnheld, kMissing, kOtherSize };
  Agreement agreement(const Call& call, const Digest& digest);

  // Opens a blob for reading. kNotFound; kDataLoss as info(); kResourceExhausted when descriptors are short.
  std::shared_ptr<const OpenBlob> open(const Call& call, const Digest& digest);

  // The blob if it is open already, or null. Never waits.
  std::shared_ptr<const OpenBlob> find_open(const Digest& digest) { return open_blobs_.find(digest); }

  // The blob if it is stored; then the client holds it (the operator pins it).
  std::optional<Entry> claim_if_stored(const Call& call, const Client& client, const Digest& digest);

  // Holds a blob for the operator or a tool of his (catalog::Pin); durable on return. The empty owner is the operator.
  // kNotFound; kInvalidArgument: the owner's name, as check_owner() says.
  void pin(const Call& call, const Digest& digest, const std::string& note, const std::string& owner = kOperator);
  // Drops the owner's hold. kNotFound when there was none; the message says who has one.
  void unpin(const Call& call, const Digest& digest, const std::string& owner = kOperator);
  // Drops everybody's. kNotFound when there was none.
  void unpin_all(const Call& call, const Digest& digest);

  // Takes a damaged blob out of service, in the store where it was found, keeping its claims and pins: whoever writes
  // the right bytes heals it. Returns false, and does nothing, when the bytes changed since the watch `read` began, if
  // one is given.
  bool quarantine(const Call& call, const Digest& digest, Stores::Place place,
                  const ChangeWatch::Watch* read = nullptr);

  // Tells whether the blob's bytes change from now on. To be asked for before they are opened.
  [[nodiscard]] ChangeWatch::Watch watch(const Digest& digest) { return changes_.watch(digest); }

  // Makes bytes of the previous store, `size` of them and hashed as `actual`, a blob of the current one; claims, pins
  // and labels stay as they are. Returns false, and the ingest stays, when that one does not lack the blob any more.
  // kFailedPrecondition: the digest is another one, and the current store can't prove that it names these bytes too.
  bool commit_copy(const Call& call, const Digest& digest, uint64_t size, const Digest& actual, Ingest& bytes);

  // The ingest of that ref. kNotFound.
  IngestStatus status(const Call& call, const Client& client, const std::string& ref);
  // The client's ingests that match, by start time; the operator's are all. The oldest only when they are more than an
  // answer can hold (kStatusesBytes).
  std::vector<IngestStatus> list_statuses(const Call& call, const Client& client, const Filter& filter);
  // Drops an ingest with its bytes, also one that is being written: its writer then fails. No error when there is none.
  void abort(const Call& call, const Client& client, const std::string& ref);

  // Whether open_writer() would begin a new ingest, which lives in memory and waits for nothing.
  bool begins_anew(const Client& client, const std::string& ref) const {
    return !catalog_.find_ingest(client.name, ref);
  }

  // Whether `digest` is one and nobody holds the blob: then it is not stored, but for the moment in which a COMMIT is
  // finished and what a failed Delete left behind; the backend's commit finds those. Never waits.
  bool is_unknown(const std::string& digest) const noexcept;

  // Opens the ingest of `ref` for writing, resumed where there is one with the same total (or no total given).
  // `expected` (a digest or empty) and `total` (bytes, 0: not known) are what the caller announces.
  // kInvalidArgument: empty or too long ref, malformed digest; kUnavailable: the ref is open already; kAlreadyExists: the
  // expected blob is there, and the client has a claim on it now. `unknown`: the backend is not asked for that blob.
  Writer open_writer(const Call& call, const Client& client, const std::string& ref, uint64_t total,
                     const std::string& expected, bool unknown = false);

  Store& backend() noexcept { return stores_.current(); }
  Stores& stores() noexcept { return stores_; }
  catalog::Catalog& catalog() noexcept { return catalog_; }
  int64_t now() const { return options_.now(); }
  const log::Log& log() const noexcept { return options_.log; }

 private:
  friend class Writer;
  using RefKey = std::pair<std::string, std::string>;  // client name, ref

  // Makes the client hold the blob of `size` bytes. The caller holds the digest's lock and has seen the bytes.
  void hold(const Client& client, const Digest& digest, uint64_t size, const Labels* labels);
  // The blob if its bytes are there, all of them; then the client holds it. The caller holds the digest's lock.
  std::optional<Entry> hold_existing(const Call& call, const Client& client, const Digest& digest);
  // Whether this client's claim is all that keeps the blob. The caller holds the digest's lock.
  bool held_only_by(const Client& client, const Digest& digest) const noexcept;
  // Takes the blob out of service when it has not `size` bytes, so that a commit can put the right ones in its place.
  // The caller holds the digest's lock.
  void quarantine_if_cut(const Call& call, const Digest& digest, uint64_t size);
  // The client's ingests of that ref; the operator's own, or else everybody's.
  std::vector<catalog::Ingest> find_refs(const Client& client, const std::string& ref) const;
  std::vector<IngestStatus> statuses(const Call& call, const std::vector<catalog::Ingest>& rows);
  // Returns whether they went.
  bool remove_bytes(const Call& call, const Digest& digest) noexcept;
  // The current store has the blob. The caller holds the digest's lock.
  void now_in_current(const Call& call, const Digest& digest) noexcept;
  // Keeps descriptors for connections and the catalog: lets cached blobs go when they get short, and refuses `what` with
  // kResourceExhausted when that is not enough.
  void spare_descriptors(const std::string& what);
  // Drops an ingest's bytes and row. The caller holds its ref.
  void discard(const Call& call, const std::string& key);
  // Drops an ingest's row and bytes, as well as it can.
  void forget_ingest(const Call& call, OpenIngest& open) noexcept;
  // The two ways of opening a ref: with bytes that were kept, and as a new ingest in memory.
  void resume(const Call& call, OpenIngest& open);
  void begin(const Call& call, OpenIngest& open);
  // The client's ingests (empty name: everybody's) by start time, those in memory among them.
  std::vector<catalog::Ingest> ingests(const std::string& client) const;
  // Drops the ingest of that ref. False when its writer was just closing: to be tried again.
  bool abort_ref(const Call& call, const RefKey& key);
  void release_ref(const RefKey& key, const OpenIngest* open) noexcept;
  // Frees a ref at the end of a scope.
  struct RefRelease {
    Content& content;
    const RefKey& key;
    const OpenIngest* open;
    ~RefRelease() { content.release_ref(key, open); }
  };

  Stores& stores_;
  catalog::Catalog& catalog_;
  const Options options_;
  BlobCache open_blobs_;
  ChangeWatch changes_;
  LookUps look_ups_;
  KeyedMutex<Digest> digests_;
  mutable std::mutex refs_mutex_;
  std::map<RefKey, std::shared_ptr<OpenIngest>> refs_;  // refs that are open
};

}  // namespace ipcs::content
