// Claims, pins and labels over a backend's blobs.
#include "content/content.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <set>

#include "content/descriptors.hpp"
#include "content/limits.hpp"
#include "content/writer.hpp"

namespace ipcs::content {
namespace {

constexpr size_t kStatusBytes = 256;  // of an ingest in a list, besides its ref
constexpr size_t kPage = 100;  // blobs in one message of a listing, as containerd sends them

int64_t system_now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

Content::Options with_defaults(Content::Options options) {
  if (!options.now) options.now = system_now;
  return options;
}

[[noreturn]] void throw_not_found(const Digest& digest) {
  throw Error(Code::kNotFound, fmt::format("content {}: not found", digest.to_string()));
}

[[noreturn]] void throw_cut(const Digest& digest, uint64_t found, uint64_t known) {
  throw Error(Code::kDataLoss, fmt::format("content {}: {} bytes are stored, {} were committed; `ipcsctl verify` takes "
                                           "it out of service, writing it again heals it",
                                           digest.to_string(), found, known));
}

// Takes a blob out of the cache at the end of a scope in which its bytes go: whoever has opened it by then, or is about
// to, finds it gone afterwards, or is told by his watch.
struct Forget {
  BlobCache& cache;
  ChangeWatch& changes;
  const Digest& digest;
  ~Forget() {
    cache.erase(digest);
    changes.note(digest);
  }
};

// A label with an empty value is none, as in containerd.
Labels without_empty(Labels labels) {
  std::erase_if(labels, [](const auto& label) { return label.second.empty(); });
  return labels;
}

catalog::LabelChange label_change(const Digest& digest, const Labels& labels, std::span<const std::string> paths) {
  static constexpr std::string_view kPrefix = "labels.";
  catalog::LabelChange change;
  change.replace_all = paths.empty();
  for (const std::string& path : paths) {
    if (path == "labels") {
      change.replace_all = true;
    } else if (path.starts_with(kPrefix)) {
      const std::string key = path.substr(kPrefix.size());
      const auto given = labels.find(key);
      change.labels[key] = given == labels.end() ? std::string() : given->second;
    } else {
      throw Error(Code::kInvalidArgument,
                  fmt::format("cannot update \"{}\" field on content info \"{}\"", printable(path), digest.to_string()));
    }
  }
  if (change.replace_all) change.labels = without_empty(labels);
  return change;
}

}  // namespace

std::string printable(std::string_view foreign) {
  std::string text;
  for (const char c : foreign.substr(0, 120)) {
    if (c >= ' ' && c < 127 && c != '"' && c != '\\') {
      text += c;
    } else {
      text += fmt::format("\\x{:02x}", static_cast<uint8_t>(c));
    }
  }
  return foreign.size() > 120 ? text + "…" : text;
}

Content::Content(Stores& stores, catalog::Catalog& catalog, Options options)
    : stores_(stores),
      catalog_(catalog),
      options_(with_defaults(std::move(options))),
      open_blobs_(options_.open_blobs),
      look_ups_(Locator::of(stores.current()), options_.look_up_timeout, options_.log) {}

Content::~Content() = default;

Blob Content::info(const Call& call, const Client& client, const Digest& digest) {
  if (auto found = find(call, client, digest)) return *std::move(found);
  throw_not_found(digest);
}

std::optional<Blob> Content::find(const Call& call, const Client& client, const Digest& digest) {
  auto stored = stores_.stat(call, digest);
  if (!stored) return std::nullopt;
  auto known = client.is_operator ? catalog_.find_any(client.name, digest) : catalog_.find(client.name, digest);
  // A claim that is there may still be on its way to the disk: whoever makes it holds the digest's lock until it is
  // safe.
  if (!client.is_operator && (!known || digests_.in_use(digest))) {
    const auto lock = digests_.lock(digest);
    hold_existing(call, client, digest);
    stored = stores_.stat(call, digest);  // it may have gone or been healed meanwhile
    if (!stored) return std::nullopt;
    known = catalog_.find_any(client.name, digest);
  }
  if (!known) return Blob{digest, stored->size, stored->created_ns, stored->modified_ns, {}};
  if (known->size != stored->size) throw_cut(digest, stored->size, known->size);
  return *std::move(known);
}

Blob Content::update(const Call& call, const Client& client, const Digest& digest, const Labels& labels,
                     std::span<const std::string> paths) {
  const catalog::LabelChange change = label_change(digest, labels, paths);
  info(call, client, digest);  // the blob is there, and the client has its claim
  const auto lock = digests_.lock(digest);  // two updates could each be within the limit
  const auto known = catalog_.find_any(client.name, digest);
  Labels after = known && !change.replace_all ? known->labels : Labels();
  for (const auto& [key, value] : change.labels) after.insert_or_assign(key, value);
  check_labels(without_empty(std::move(after)));
  if (auto updated = catalog_.update_labels(client.name, digest, change, now())) return *std::move(updated);
  throw_not_found(digest);
}

std::vector<Blob> Listing::next(const Call& call) {
  while (!over_ && found_.size() < kPage) {
    if (call.cancelled()) throw Error(Code::kCancelled, "cancelled while blobs were listed");
    std::vector<Blob> rows = catalog_.list(client_, after_, kPage);
    over_ = rows.empty();
    for (Blob& blob : rows) {
      after_ = blob.digest.to_string();
      if (filter_.matches(BlobAdaptor(after_, blob.labels))) found_.push_back(std::move(blob));
    }
  }
  size_t count = 0, bytes = 0;
  while (count < std::min(found_.size(), kPage) && bytes < kListingBytes) bytes += size_of(found_[count++].labels);
  std::vector<Blob> page(std::make_move_iterator(found_.begin()), std::make_move_iterator(found_.begin() + static_cast<ptrdiff_t>(count)));
  found_.erase(found_.begin(), found_.begin() + static_cast<ptrdiff_t>(count));
  return page;
}

void Content::remove(const Call& call, const Client& client, const Digest& digest) {
  const auto lock = digests_.lock(digest);
  if (client.is_operator) {
    // What nobody holds is left over from a removal that failed; he may try again.
    if (catalog_.unpin(digest, kOperator) || !catalog_.find_any({}, digest)) remove_bytes(call, digest);
    return;
  }
  try {
    if (catalog_.unclaim(client.name, digest)) remove_bytes(call, digest);
  } catch (const Error& e) {
    // The claim stays, and the next collection deletes it again. A full disk is the likeliest cause, so the bytes go now
    // if they are this client's alone: otherwise nothing would ever make room.
    log().warn("a claim could not be dropped", {{"digest", digest.to_string()}, {"error", e.what()}});
    if (held_only_by(client, digest)) remove_bytes(call, digest);
  }
}

std::optional<uint64_t> Content::drop_claim(const Call& call, const std::string& client, const Digest& digest) {
  const auto lock = digests_.lock(digest);
  const auto stored = backend().stat_blob(call, digest.to_string());
  if (!catalog_.unclaim(client, digest) || !remove_bytes(call, digest) || !stored) return std::nullopt;
  return stored->size;
}

bool Content::held_only_by(const Client& client, const Digest& digest) const noexcept {
  try {
    return catalog_.claimants(digest) == std::vector{client.name} && !catalog_.pinned(digest);
  } catch (const std::exception&) {
    return false;  // then the bytes stay
  }
}

std::shared_ptr<const OpenBlob> Content::open(const Call& call, const Digest& digest) {
  // Without the digest's lock: a backend may wait for a network here, and Info and Delete must not wait with it.
  return open_blobs_.find_or_open(call, digest, [&] {
    spare_descriptors(digest.to_string());
    BlobReader reader = stores_.open(call, digest).reader;
    const uint64_t size = reader.size();
    const auto known = catalog_.find_any({}, digest);
    if (known && known->size != size) throw_cut(digest, size, known->size);
    return OpenBlob{digest, size, std::move(reader)};
  });
}

bool Content::is_unknown(const std::string& digest) const noexcept {
  try {
    return !catalog_.find_any({}, Digest::parse(digest));
  } catch (const std::exception&) {
    return false;  // whoever is asked in earnest says what is wrong
  }
}

std::optional<Entry> Content::claim_if_stored(const Call& call, const Client& client, const Digest& digest) {
  if (!stores_.stat(call, digest)) return std::nullopt;
  const auto lock = digests_.lock(digest);
  return hold_existing(call, client, digest);
}

Content::Agreement Content::agreement(const Call& call, const Digest& digest) {
  const auto lock = digests_.lock(digest);
  const auto stored = stores_.stat(call, digest);
  const auto held = catalog_.find_any({}, digest);
  if (!held) return stored ? Agreement::kUnheld : Agreement::kAgree;
  if (!stored) return Agreement::kMissing;
  return stored->size == held->size ? Agreement::kAgree : Agreement::kOtherSize;
}

void Content::pin(const Call& call, const Digest& digest, const std::string& note, const std::string& owner) {
  check_owner(owner);
  const auto lock = digests_.lock(digest);
  const auto stored = stores_.stat(call, digest);
  if (!stored) throw_not_found(digest);
  const auto known = catalog_.find_any({}, digest);
  if (known && known->size != stored->size) throw_cut(digest, stored->size, known->size);
  catalog_.pin(digest, stored->size, now(), note, owner);
}

void Content::unpin(const Call& call, const Digest& digest, const std::string& owner) {
  const auto lock = digests_.lock(digest);
  if (!catalog_.pinned(digest, owner)) {
    const auto others = catalog_.pin_owners(digest);
    throw Error(Code::kNotFound, others.empty()
                                     ? fmt::format("content {}: not pinned", digest.to_string())
                                     : fmt::format("content {}: not pinned by {}, but by {}", digest.to_string(),
                                                   owner.empty() ? "the operator" : printable(owner),
                                                   fmt::join(others, ", ")));
  }
  if (catalog_.unpin(digest, owner)) remove_bytes(call, digest);
}

void Content::unpin_all(const Call& call, const Digest& digest) {
  const auto lock = digests_.lock(digest);
  if (!catalog_.pinned(digest)) throw Error(Code::kNotFound, fmt::format("content {}: not pinned", digest.to_string()));
  if (catalog_.unpin_all(digest)) remove_bytes(call, digest);
}

bool Content::quarantine(const Call& call, const Digest& digest, Stores::Place place, const ChangeWatch::Watch* read) {
  const auto lock = digests_.lock(digest);
  if (read != nullptr && read->changed()) return false;
  const Forget forget{open_blobs_, changes_, digest};
  stores_.quarantine(call, digest, place);
  return true;
}

bool Content::commit_copy(const Call& call, const Digest& digest, uint64_t size, const Digest& actual,
                          Ingest& bytes) {
  const auto lock = digests_.lock(digest);  // neither a removal nor a commit comes in between
  if (!stores_.lacks(digest)) return false;
  quarantine_if_cut(call, digest, size);
  try {
    bytes.commit(call, size, digest.to_string(), actual.to_string());
  } catch (const Error& e) {
    if (e.code() != Code::kAlreadyExists) throw;
  }
  now_in_current(call, digest);
  return true;
}

void Content::now_in_current(const Call& call, const Digest& digest) noexcept {
  if (!stores_.lacks(digest)) return;
  const Forget forget{open_blobs_, changes_, digest};  // the next read is not to go to the previous store
  stores_.no_longer_lacking(call, digest);
}

void Content::quarantine_if_cut(const Call& call, const Digest& digest, uint64_t size) {
  const auto stored = backend().stat_blob(call, digest.to_string());
  if (!stored || stored->size == size) return;
  log().warn("a damaged blob is replaced by the bytes that came in", {{"digest", digest.to_string()}});
  const Forget forget{open_blobs_, changes_, digest};
  backend().quarantine_blob(call, digest.to_string());
}

IngestStatus Content::status(const Call& call, const Client& client, const std::string& ref) {
  const std::vector<IngestStatus> found = statuses(call, find_refs(client, ref));
  if (found.empty()) throw Error(Code::kNotFound, fmt::format("ingest ref \"{}\": not found", printable(ref)));
  return found.front();
}

std::vector<IngestStatus> Content::list_statuses(const Call& call, const Client& client, const Filter& filter) {
  std::vector<IngestStatus> all = statuses(call, ingests(client.list_name()));
  std::erase_if(all, [&](const IngestStatus& s) { return !filter.matches(IngestAdaptor(s.ref)); });
  // Cut, not refused: containerd's collector aborts the ingests that it is shown, and sees the rest the next time.
  size_t count = 0, bytes = 0;
  while (count < all.size() && bytes < kStatusesBytes) bytes += kStatusBytes + all[count++].ref.size();
  if (count < all.size()) {
    log().warn("a list of ingests is cut", {{"client", client.name}, {"ingests", std::to_string(all.size())},
                                            {"listed", std::to_string(count)}});
    all.erase(all.begin() + static_cast<ptrdiff_t>(count), all.end());
  }
  return all;
}

std::vector<catalog::Ingest> Content::ingests(const std::string& client) const {
  std::vector<catalog::Ingest> all;
  std::set<std::string> keys;
  {
    // Before the catalog: what is stored meanwhile is then seen twice, never not at all.
    const std::lock_guard guard(refs_mutex_);
    for (const auto& [key, open] : refs_) {
      if (!open->unrecorded || (!client.empty() && key.first != client)) continue;
      keys.insert(open->row.key);
      all.push_back(open->row);
    }
  }
  for (catalog::Ingest& row : catalog_.ingests(client)) {
    if (!keys.contains(row.key)) all.push_back(std::move(row));
  }
  std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.started_ns < b.started_ns; });
  return all;
}

std::vector<catalog::Ingest> Content::find_refs(const Client& client, const std::string& ref) const {
  std::vector<catalog::Ingest> own;
  {
    const std::lock_guard guard(refs_mutex_);
    const auto found = refs_.find({client.name, ref});
    if (found != refs_.end() && found->second->unrecorded) own.push_back(found->second->row);
  }
  if (own.empty()) {
    if (auto row = catalog_.find_ingest(client.name, ref)) own.push_back(*std::move(row));
  }
  if (!client.is_operator || !own.empty()) return own;
  std::vector<catalog::Ingest> all = ingests({});
  std::erase_if(all, [&](const catalog::Ingest& row) { return row.ref != ref; });
  return all;
}

std::vector<IngestStatus> Content::statuses(const Call& call, const std::vector<catalog::Ingest>& rows) {
  std::vector<IngestStatus> result;
  std::map<std::string, size_t> closed;  // key → index in result: the backend knows how far these are
  for (const catalog::Ingest& row : rows) {
    IngestStatus status{row.client, row.ref, row.expected, 0, row.total, row.started_ns, row.updated_ns};
    std::shared_ptr<OpenIngest> open;
    {
      const std::lock_guard guard(refs_mutex_);
      const auto found = refs_.find({row.client, row.ref});
      if (found != refs_.end()) open = found->second;
    }
    if (open) {
      status.offset = open->offset.load();
      status.updated_ns = std::max(status.updated_ns, open->updated_ns.load());
    } else {
      closed.emplace(row.key, result.size());
    }
    result.push_back(std::move(status));
  }
  if (closed.empty()) return result;
  Cursor cursor = backend().list_ingests(call);
  for (std::vector<Entry> entries = cursor.next(call); !entries.empty(); entries = cursor.next(call)) {
    for (const Entry& entry : entries) {
      const auto found = closed.find(entry.name);
      if (found == closed.end()) continue;
      IngestStatus& status = result[found->second];
      status.offset = entry.size;
      status.updated_ns = std::max(status.updated_ns, entry.modified_ns);
      closed.erase(found);
    }
  }
  // The backend has no bytes of these: they were committed or aborted since the row was read.
  std::set<size_t> gone;
  for (const auto& [key, index] : closed) gone.insert(index);
  for (auto index = gone.rbegin(); index != gone.rend(); ++index) {
    result.erase(result.begin() + static_cast<ptrdiff_t>(*index));
  }
  return result;
}

void Content::abort(const Call& call, const Client& client, const std::string& ref) {
  for (const catalog::Ingest& row : find_refs(client, ref)) {
    while (!abort_ref(call, {row.client, row.ref})) {
    }
  }
}

bool Content::abort_ref(const Call& call, const RefKey& key) {
  // Nobody may open the ref while its bytes go, so it is taken as a writer takes it.
  const auto mine = std::make_shared<OpenIngest>();
  const std::lock_guard busy(mine->mutex);
  std::shared_ptr<OpenIngest> open;
  {
    const std::lock_guard guard(refs_mutex_);
    open = refs_.emplace(key, mine).first->second;
  }
  if (open == mine) {
    const RefRelease release{*this, key, mine.get()};
    if (const auto row = catalog_.find_ingest(key.first, key.second)) discard(call, row->key);
    return true;
  }
  const std::lock_guard guard(open->mutex);
  if (!open->is_open()) return open->aborted;  // else its writer has closed it in the meantime and freed the ref
  open->aborted = true;
  open->memory.clear();
  open->in_memory = false;
  open->unrecorded = false;
  if (!open->bytes) return true;
  open->bytes.reset();
  discard(call, open->row.key);
  return true;
}

void Content::discard(const Call& call, const std::string& key) {
  backend().discard_ingest(call, key);
  catalog_.drop_ingest(key);
}

void Content::forget_ingest(const Call& call, OpenIngest& open) noexcept {
  try {
    backend().discard_ingest(call, open.row.key);
    if (!open.unrecorded.exchange(false)) catalog_.drop_ingest(open.row.key);
  } catch (const std::exception& e) {
    log().warn("an ingest stays until the next start", {{"key", open.row.key}, {"error", e.what()}});
  }
}

void Content::release_ref(const RefKey& key, const OpenIngest* open) noexcept {
  const std::lock_guard guard(refs_mutex_);
  const auto found = refs_.find(key);
  if (found != refs_.end() && found->second.get() == open) refs_.erase(found);
}

void Content::hold(const Client& client, const Digest& digest, uint64_t size, const Labels* labels) {
  changes_.note(digest);  // the bytes may have been committed just now
  const Labels kept = labels == nullptr ? Labels() : without_empty(*labels);
  if (!client.is_operator) return catalog_.claim(client.name, digest, size, now(), labels == nullptr ? nullptr : &kept);
  const auto known = catalog_.find_any({}, digest);
  // The size on record is wrong where a damaged blob was adopted and is healed now.
  if (!catalog_.pinned(digest, client.owner) || !known || known->size != size)
    catalog_.pin(digest, size, now(), {}, client.owner);
  if (labels != nullptr) catalog_.update_labels(client.name, digest, {true, kept}, now());
}

std::optional<Entry> Content::hold_existing(const Call& call, const Client& client, const Digest& digest) {
  auto stored = stores_.stat(call, digest);
  if (!stored) return std::nullopt;
  const auto known = catalog_.find_any({}, digest);
  if (known && known->size != stored->size) return std::nullopt;
  hold(client, digest, stored->size, nullptr);
  return stored;
}

void Content::spare_descriptors(const std::string& what) {
  if (!descriptors_scarce(Reserve::kForConnections)) return;
  open_blobs_.clear();
  if (descriptors_scarce(Reserve::kForConnections))
    throw Error(Code::kResourceExhausted, fmt::format("{} can't be opened: too many blobs and ingests are open for the "
                                                      "limit of open files (RLIMIT_NOFILE)", what));
}

bool Content::remove_bytes(const Call& call, const Digest& digest) noexcept {
  const Forget forget{open_blobs_, changes_, digest};
  try {
    stores_.remove(call, digest);
    return true;
  } catch (const std::exception& e) {
    // The row is gone; the bytes are found again at the next start and offered to containerd's collector.
    log().warn("a deleted blob's bytes stay until the next start", {{"digest", digest.to_string()}, {"error", e.what()}});
    return false;
  }
}

}  // namespace ipcs::content
