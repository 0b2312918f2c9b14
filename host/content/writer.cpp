// Opening, filling and committing ingests.
#include "content/writer.hpp"

#include <fmt/format.h>
#include <sys/random.h>

#include <array>

#include "content/limits.hpp"

namespace ipcs::content {
namespace {

constexpr size_t kBeside = 256 << 10;     // bytes from which on they are hashed and stored at the same time
constexpr size_t kHashBuffer = 1 << 20;  // bytes read at once when an ingest is hashed again

// A key that no other ingest has had: the backend may still hold bytes of a forgotten one.
std::string new_key() {
  std::array<uint8_t, 16> random;
  if (::getrandom(random.data(), random.size(), 0) != static_cast<ssize_t>(random.size()))
    throw Error(Code::kInternal, "getrandom failed");
  std::string key;
  for (const uint8_t byte : random) key += fmt::format("{:02x}", byte);
  return key;
}

// What a backend says of an ingest, which it knows by a key that tells a client nothing.
Error with_ref(const Error& e, const catalog::Ingest& ingest) {
  std::string words = e.what();
  const std::string by_key = fmt::format("ingest {}: ", ingest.key);
  if (const size_t at = words.find(by_key); at != std::string::npos) words.erase(at, by_key.size());
  return Error(e.code(), fmt::format("ingest ref \"{}\": {}", printable(ingest.ref), words));
}

// Hashes the bytes held from the start; returns how many could be read.
uint64_t hash_again(const Call& call, const Ingest& bytes, oci::Hasher& hasher) {
  std::vector<uint8_t> buffer;
  uint64_t offset = 0;
  const uint64_t size = bytes.size();
  if (size > 0) buffer.resize(std::min<uint64_t>(size, kHashBuffer));
  while (offset < size) {
    if (call.cancelled()) throw Error(Code::kCancelled, "cancelled while an ingest was hashed again");
    const size_t count = bytes.read_at(call, offset, buffer);
    if (count == 0) break;
    hasher.update(std::span(buffer).first(count));
    offset += count;
  }
  return offset;
}

}  // namespace

Writer Content::open_writer(const Call& call, const Client& client, const std::string& ref, uint64_t total,
                            const std::string& expected, bool unknown) {
  check_ref(ref);
  const std::optional<Digest> digest = expected.empty() ? std::nullopt : std::optional(Digest::parse(expected));

  const RefKey key{client.name, ref};
  auto open = std::make_shared<OpenIngest>();
  const std::lock_guard opening(open->mutex);  // an abort meanwhile waits until the bytes are open
  {
    const std::lock_guard guard(refs_mutex_);
    if (!refs_.emplace(key, open).second)
      throw Error(Code::kUnavailable, fmt::format("ref {} locked: it is being written already", printable(ref)));
  }
  try {
    if (digest && !unknown && claim_if_stored(call, client, *digest))
      throw Error(Code::kAlreadyExists, fmt::format("content {}: already exists", expected));
    spare_descriptors(fmt::format("ref {}", printable(ref)));
    open->hasher = oci::Hasher(digest ? digest->algorithm() : oci::Algorithm::kSha256);
    std::optional<catalog::Ingest> row = catalog_.find_ingest(client.name, ref);
    if (row && total > 0 && row->total > 0 && row->total != total) {
      log().info("an ingest starts anew: its announced size has changed",
                 {{"ref", printable(ref)}, {"total", std::to_string(total)}, {"before", std::to_string(row->total)}});
      discard(call, row->key);
      row.reset();
    }
    const bool known = row.has_value();
    open->row = row ? *std::move(row) : catalog::Ingest{new_key(), client.name, ref, {}, 0, now(), now()};
    if (total > 0) open->row.total = total;
    if (digest) open->row.expected = expected;
    open->updated_ns = open->row.updated_ns;
    known ? resume(call, *open) : begin(call, *open);
  } catch (...) {
    open->bytes.reset();
    release_ref(key, open.get());
    throw;
  }
  return Writer(*this, client, std::move(open));
}

void Content::begin(const Call& call, OpenIngest& open) {
  // What the backend would say once the bytes are given to it, which is late for the client.
  const StoreInfo store = backend().info(call);
  if (store.read_only)
    throw Error(Code::kFailedPrecondition, fmt::format("ingest ref \"{}\": the store {} is open for reading only",
                                                       printable(open.row.ref), store.location));
  if (store.full)
    throw Error(Code::kResourceExhausted,
                fmt::format("ingest ref \"{}\": the store {} is full: {} bytes are used{}, {} are free",
                            printable(open.row.ref), store.location, store.used_bytes,
                            store.quota_bytes == 0 ? "" : fmt::format(" of a quota of {}", store.quota_bytes),
                            store.free_bytes));
  open.in_memory = true;
  open.unrecorded = true;
}

void Content::resume(const Call& call, OpenIngest& open) {
  catalog_.put_ingest(open.row);
  open.bytes = backend().open_ingest(call, open.row.key, true, open.row.total);
  const uint64_t held = open.bytes->size();
  open.offset = held;
  const uint64_t readable = hash_again(call, *open.bytes, open.hasher);
  if (readable < held) open.bytes->truncate(call, readable);  // the end is lost: the client sends it again
  open.offset = readable;
}

Writer::~Writer() {
  if (!open_) return;
  const std::lock_guard guard(open_->mutex);
  close();
}

IngestStatus Writer::status() const {
  const catalog::Ingest& row = open_->row;
  return {row.client, row.ref, row.expected, open_->offset, row.total, row.started_ns, open_->updated_ns};
}

Digest Writer::digest() const {
  const std::lock_guard guard(open_->mutex);
  return open_->hasher.digest();
}

void Writer::require_open() const {
  if (open_->is_open()) return;
  if (open_->aborted) throw Error(Code::kAborted, fmt::format("ingest ref \"{}\": aborted", printable(open_->row.ref)));
  throw Error(Code::kFailedPrecondition, fmt::format("ingest ref \"{}\": the writer is closed", printable(open_->row.ref)));
}

void Writer::store(const Call& call) {
  const std::vector<uint8_t> held = std::move(open_->memory);
  open_->memory.clear();
  open_->in_memory = false;
  try {
    open_->bytes = content_->backend().open_ingest(call, open_->row.key, true, open_->row.total);
    if (!held.empty()) open_->bytes->append(call, held);
  } catch (...) {
    open_->bytes.reset();
    content_->forget_ingest(call, *open_);
    throw;
  }
}

void Writer::record() {
  if (!open_->unrecorded) return;
  try {
    catalog::Ingest row = open_->row;
    row.updated_ns = open_->updated_ns;
    content_->catalog_.put_ingest(row);
    open_->unrecorded = false;
  } catch (...) {
    open_->bytes.reset();
    content_->forget_ingest(Call(), *open_);
    throw;
  }
}

void Writer::write(const Call& call, std::span<const uint8_t> data) {
  const std::lock_guard guard(open_->mutex);
  require_open();
  try {
    if (keeps_in_memory(data.size())) {
      open_->memory.insert(open_->memory.end(), data.begin(), data.end());
    } else {
      if (open_->in_memory) store(call);
      record();
    }
    const auto append = [&] { if (!open_->in_memory) open_->bytes->append(call, data); };
    const auto hash = [&] { open_->hasher.update(data); };
    if (data.size() >= kBeside) {
      open_->beside.run(append, hash);
    } else {
      append();
      hash();
    }
  } catch (...) {
    // What was kept is not what was hashed: whoever opens the ref again hashes anew.
    close();
    throw;
  }
  open_->offset += data.size();
  open_->updated_ns = content_->now();
}

void Writer::truncate(const Call& call) {
  const std::lock_guard guard(open_->mutex);
  require_open();
  open_->memory.clear();
  if (open_->bytes) open_->bytes->truncate(call, 0);
  open_->hasher.reset();
  open_->offset = 0;
}

Digest Writer::content_digest(const Call& call, oci::Algorithm algorithm) const {
  if (algorithm == open_->hasher.algorithm()) return open_->hasher.digest();
  // The digest that is wanted was not announced with the first message and is of another kind.
  oci::Hasher hasher(algorithm);
  if (open_->in_memory) {
    hasher.update(open_->memory);
  } else if (hash_again(call, *open_->bytes, hasher) != open_->offset) {
    throw Error(Code::kDataLoss, fmt::format("ingest ref \"{}\": bytes are missing", printable(open_->row.ref)));
  }
  return hasher.digest();
}

Digest Writer::commit(const Call& call, uint64_t total, const std::string& expected, const Labels* labels) {
  const std::lock_guard guard(open_->mutex);
  struct Close {
    Writer* writer;
    ~Close() { writer->close(); }
  } const close_at_end{this};
  require_open();
  const uint64_t size = open_->offset;
  if (total > 0 && total != size)
    throw Error(Code::kFailedPrecondition, fmt::format("ingest ref \"{}\": unexpected commit size {}, expected {}",
                                                       printable(open_->row.ref), size, total));
  const std::optional<Digest> wanted = expected.empty() ? std::nullopt : std::optional(Digest::parse(expected));
  const Digest actual = content_digest(call, wanted ? wanted->algorithm() : open_->hasher.algorithm());
  const Digest digest = wanted.value_or(actual);

  if (open_->in_memory) store(call);
  const auto lock = content_->digests_.lock(digest);
  if (digest == actual) content_->quarantine_if_cut(call, digest, size);
  // A pin is durable before its blob is visible; a claim may be lost in a crash, and is then made anew at start.
  const bool pin_begun = client_.is_operator && !content_->catalog_.pinned(digest);
  if (pin_begun) content_->catalog_.begin_pin(digest, size, content_->now(), {}, client_.owner);
  try {
    open_->bytes->commit(call, size, digest.to_string(), actual.to_string());
  } catch (const Error& e) {
    if (e.code() != Code::kAlreadyExists) {
      if (pin_begun) content_->catalog_.cancel_pin(digest);
      throw with_ref(e, open_->row);
    }
    open_->bytes.reset();
    content_->now_in_current(call, digest);
    drop_row();
    if (pin_begun) content_->catalog_.finish_pin(digest);
    if (digest != actual) {
      // The digest of a root: kAlreadyExists would let containerd's writer record the digest of the bytes instead.
      const auto stored = content_->stores_.stat(call, digest);
      if (!stored || stored->size != size)
        throw Error(Code::kFailedPrecondition,
                    fmt::format("ingest ref \"{}\": content {} is there and has another size than these {} bytes",
                                printable(open_->row.ref), digest.to_string(), size));
      content_->hold(client_, digest, size, labels);
      return digest;
    }
    // What is stored has the size of these bytes, whatever the catalog remembers: anything else is in quarantine.
    content_->hold(client_, digest, size, nullptr);
    throw Error(Code::kAlreadyExists, fmt::format("content {}: already exists", digest.to_string()));
  }
  open_->bytes.reset();
  content_->now_in_current(call, digest);
  if (pin_begun) content_->catalog_.finish_pin(digest);
  content_->hold(client_, digest, size, labels);
  drop_row();
  return digest;
}

void Writer::drop_row() {
  if (!open_->unrecorded) content_->catalog_.drop_ingest(open_->row.key);
  open_->unrecorded = false;
}

void Writer::close() noexcept {
  try {
    if (open_->in_memory) store(Call());
    if (open_->bytes) {
      const bool was_recorded = !open_->unrecorded;
      record();
      open_->bytes.reset();
      if (was_recorded) content_->catalog_.touch_ingest(open_->row.key, open_->updated_ns);
    }
  } catch (const std::exception& e) {
    content_->log().warn("an ingest was not kept as it was", {{"ref", printable(open_->row.ref)}, {"error", e.what()}});
  }
  content_->release_ref({open_->row.client, open_->row.ref}, open_.get());
}

}  // namespace ipcs::content
