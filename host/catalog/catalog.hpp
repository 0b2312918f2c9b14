// The catalog: everything about blobs and ingests that containerd or an operator said, in one sqlite3 file.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "oci/digest.hpp"

namespace ipcs::catalog {

using Labels = std::map<std::string, std::string>;  // any bytes
using oci::Digest;

// The operator's name where a client is asked for; no socket can have it.
inline constexpr char kOperator[] = "operator";

// A blob as one client sees it.
struct Blob {
  Digest digest;
  uint64_t size = 0;       // bytes
  int64_t created_ns = 0;  // since 1970 UTC
  int64_t updated_ns = 0;
  Labels labels;  // of that client
};

// Bytes that are still arriving for a client under a ref.
struct Ingest {
  std::string key;  // the backend's name for it: [a-z0-9-]
  std::string client;
  std::string ref;       // any bytes
  std::string expected;  // digest, may be empty
  uint64_t total = 0;    // bytes announced, 0: not known
  int64_t started_ns = 0;
  int64_t updated_ns = 0;
};

// A hold on a blob, of the operator or of a tool that works for him. A blob has at most one of each owner.
struct Pin {
  Digest digest;
  uint64_t size = 0;
  int64_t created_ns = 0;
  std::string note;   // free text, may be empty
  std::string owner;  // kOperator or a tool's own name, any bytes
};

struct Totals {
  uint64_t blobs = 0, bytes = 0;  // known and held by a claim or pin
  uint64_t claims = 0, ingests = 0;
  uint64_t pins = 0;  // blobs with a pin
};

// How changed blobs relate: see update_labels.
struct LabelChange {
  bool replace_all = false;  // true: `labels` become the labels; false: only the named keys change
  Labels labels;             // an empty value removes the label when !replace_all
};

// One open catalog file. All functions are [thread-safe] and short. What is written is safe from a kill at once; only
// pins, and claims that could not be made anew, are safe from a power loss at once (README.md tells why that is
// enough). Reads never wait for an fsync or for a transaction under way, and those of one row not for a listing.
//
// Any function throws Error, naming the file where it is to blame: kResourceExhausted on a full disk, kUnavailable when
// another program has locked the file, kDataLoss when it is damaged, kPermissionDenied, kInvalidArgument for a size
// above 2^63 - 1, else kInternal. After an error nothing of the call is in effect, except that a pin, an
// unpin or a changed size whose fsync failed may be.
//
// A blob row exists as long as a claim or a pin holds it. Names of clients are those of the listening sockets;
// kOperator and the empty name mean the operator, who holds blobs by pins and sees every held blob. The operator's
// labels live as long as the blob is held by anyone.
class Catalog {
 public:
  struct Options {
    std::string vfs;                   // name of a registered sqlite VFS, empty: the default one; tests inject faults
    uint32_t checkpoint_pages = 4096;  // size of the write-ahead log at which it is copied into the file
  };

  // Opens or creates the file `path`; its directory must exist. An older schema is migrated in one transaction after
  // a copy to `path`.v<N>.bak. Throws Error kFailedPrecondition when the schema is newer than this program's, when the
  // file is another program's or when another process has the catalog open; kDataLoss when it is damaged or no
  // database at all. A file that is refused is left as it is.
  static std::unique_ptr<Catalog> open(const std::string& path, const Options& options);
  static std::unique_ptr<Catalog> open(const std::string& path) { return open(path, Options()); }
  ~Catalog();
  Catalog(const Catalog&) = delete;
  Catalog& operator=(const Catalog&) = delete;

  // Whether open() made the catalog. Says nothing of a crash soon after: whether the store's blobs were ever taken in
  // is told by store_id(), when it is set in the same transaction.
  bool created() const;

  // Id of the store that this catalog describes; empty when none was recorded yet.
  std::string store_id() const;
  void set_store_id(const std::string& id);
  // Id of the store before that one, as long as blobs lie there that were not copied yet; empty when there is none.
  std::string previous_store_id() const;
  void set_previous_store_id(const std::string& id);

  // Runs `body` as one transaction: everything it does through this catalog takes effect together when it returns, or
  // not at all when it throws (the exception passes on). Reads in it see its own writes. Pins in it are safe from a
  // power loss when in_transaction returns. May be nested; the outermost counts. Other threads' writes wait
  // meanwhile, their reads see the state before. When a write in it has failed, everything is undone even if `body`
  // swallowed the error, and Error kAborted is thrown. `body` must not wait for other threads that write.
  void in_transaction(const std::function<void()>& body);

  // -- blobs and claims ----------------------------------------------------------------------------------------
  // The blob if `client` claims it (the operator: if anyone holds it).
  std::optional<Blob> find(const std::string& client, const Digest& digest) const;
  // The blob if anyone holds it, with `client`'s labels; with the times of `client`'s claim where there is one, else
  // those of the first claim or pin.
  std::optional<Blob> find_any(const std::string& client, const Digest& digest) const;
  // Gives `client` a claim on the blob; keeps the claim's times and labels where there is one already. `labels`, when
  // given, become the claim's labels. `now_ns` is the claim's creation time. `size` becomes the size of the blob.
  // A new claim on a blob that others hold, or that lost its row just now, survives a power loss on return; so does a
  // changed size. Other claims may be lost as long as the blob's row is lost with them: a blob without a row is to be
  // given to all clients at the next start. Two calls for the same blob at once: the caller must not let one answer
  // before the other has returned.
  // Throws Error kInvalidArgument for the operator.
  void claim(const std::string& client, const Digest& digest, uint64_t size, int64_t now_ns, const Labels* labels);
  // Drops the claim and its labels. Returns true when nothing holds the blob any more: the caller removes the bytes.
  // False also when there was no claim.
  bool unclaim(const std::string& client, const Digest& digest);
  // Changes the labels and the update time of a claimed blob (for the operator: of any held blob). Returns the blob as
  // it is afterwards, nothing when there is none.
  std::optional<Blob> update_labels(const std::string& client, const Digest& digest, const LabelChange& change,
                                    int64_t now_ns);
  // A page of the blobs that `client` claims (the operator: of all held blobs, with his labels), in the
  // order of their digests, those behind the digest `after` (empty: from the start), at most `limit`.
  // Throws Error kInvalidArgument when `after` is no digest.
  std::vector<Blob> list(const std::string& client, const std::string& after, size_t limit) const;
  // Names of the clients that claim the blob, sorted.
  std::vector<std::string> claimants(const Digest& digest) const;
  // Names of the clients that have claims or ingests, sorted; whether sockets have them is not known here. Never the
  // operator's.
  std::vector<std::string> clients() const;
  // Drops the blob with all its claims, labels and pins: its bytes are gone for good.
  void forget(const Digest& digest);

  // -- pins ----------------------------------------------------------------------------------------------------
  // Owners know nothing of each other: none of these calls but unpin_all() touches the pin of another one. The empty
  // owner is kOperator.
  //
  // Pins a blob whose bytes are there. On return the pin survives a power loss. A pin of the owner that is there keeps
  // its creation time and takes the note. `size` becomes the size of the blob.
  void pin(const Digest& digest, uint64_t size, int64_t now_ns, const std::string& note,
           const std::string& owner = kOperator);
  // As pin(), before the bytes become visible: a pending pin keeps the blob's row and bytes, but find_any, list,
  // pinned, pins and totals know of it only after finish_pin. At open the caller finishes those of pending_pins()
  // whose blob turned out to exist and cancels the others. Changes nothing where a finished pin of the owner is.
  void begin_pin(const Digest& digest, uint64_t size, int64_t now_ns, const std::string& note,
                 const std::string& owner = kOperator);
  // Makes the blob's pending pins pins. Nothing happens when there are none.
  void finish_pin(const Digest& digest);
  // Drops the blob's pending pins, never a finished one. Returns true when nothing holds the blob any more.
  bool cancel_pin(const Digest& digest);
  std::vector<Digest> pending_pins() const;
  // Drops the owner's pin, also a pending one (durably). Returns true when nothing holds the blob any more; false also
  // when there was no pin.
  bool unpin(const Digest& digest, const std::string& owner = kOperator);
  // The same with the pins of all owners.
  bool unpin_all(const Digest& digest);
  bool pinned(const Digest& digest) const;  // by anyone
  bool pinned(const Digest& digest, const std::string& owner) const;
  // Who has pinned the blob, sorted.
  std::vector<std::string> pin_owners(const Digest& digest) const;
  // A page of the pins in the order of their digests, then of their owners: all those of at most `limit` blobs behind
  // the digest `after`, as for list().
  std::vector<Pin> pins(const std::string& after, size_t limit) const;

  // -- ingests -------------------------------------------------------------------------------------------------
  std::optional<Ingest> find_ingest(const std::string& client, const std::string& ref) const;
  // Inserts, or replaces the one of the same client and ref. Throws Error kAlreadyExists when another ingest has the
  // key.
  void put_ingest(const Ingest& ingest);
  void touch_ingest(const std::string& key, int64_t updated_ns);  // nothing happens when there is none
  void drop_ingest(const std::string& key);                       // likewise
  // All of `client`'s (empty client: everybody's), by start time. The operator's own are those of kOperator.
  std::vector<Ingest> ingests(const std::string& client) const;

  Totals totals() const;

 private:
  class State;
  explicit Catalog(std::unique_ptr<State> state);
  void take_back(const std::string& client, const Digest& digest) noexcept;

  std::unique_ptr<State> state_;
};

}  // namespace ipcs::catalog
