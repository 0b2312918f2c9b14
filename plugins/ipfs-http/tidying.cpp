// The thread that does in Kubo what removals and crashes left behind.
#include "kubo_store.hpp"

namespace ipcs::ipfs_http {
namespace {

using namespace std::chrono_literals;

constexpr size_t kPage = 256;
constexpr auto kSoon = 1s;    // between two rounds: what many commits and removals leave is done together
constexpr auto kLater = 15s;  // the same, while there is nothing to do and after a failure

}  // namespace

void KuboStore::wake() noexcept {
  const std::lock_guard lock(tidy_mutex_);
  tidy_now_ = true;
  tidy_wake_.notify_all();
}

void KuboStore::tidy() {
  using Clock = std::chrono::steady_clock;
  const plugin::Call call = tidy_call_.call();
  Clock::time_point looked{};
  for (;;) {
    bool busy = false, failed = false;
    try {
      if (Clock::now() - looked >= kLater) {
        look_at_kubo(call);
        looked = Clock::now();
      }
      if (!read_only_) busy = tidy_once(call);
    } catch (const std::exception& e) {
      // Kubo is away or in trouble: everything is tried again later.
      host_.log(IPCS_LOG_DEBUG, e.what());
      looked = {};
      failed = true;
    }
    std::unique_lock lock(tidy_mutex_);
    if (!failed) tidy_wake_.wait_for(lock, kSoon, [this] { return over_; });
    tidy_wake_.wait_for(lock, busy ? 0s : kLater, [this] { return over_ || tidy_now_; });
    if (over_) return;
    tidy_now_ = false;
  }
}

// Returns whether something is left to do soon.
bool KuboStore::tidy_once(const plugin::Call& call) {
  do_chores(call);
  drop_pins(call);
  if (repairs_ > 0) return true;
  // One that fails must not keep the others from their turn.
  auto claims = index_.claims(tidied_claim_, 1);
  if (claims.empty() && !tidied_claim_.empty()) claims = index_.claims({}, 1);
  tidied_claim_ = claims.empty() ? std::string() : claims.front();
  if (!claims.empty()) {
    try {
      // Without the network: a block that nobody has would hold up removals and pins for as long as Kubo searches.
      verify_claim(call, claims.front(), kubo::Reach::kLocal);
    } catch (const Error& e) {
      if (e.code() != Code::kNotFound && e.code() != Code::kDataLoss) throw;
      host_.log(IPCS_LOG_DEBUG, claims.front() + ": " + e.what());
      return false;  // it is tried again, but not at once: it may be large
    }
    return true;
  }
  return index_.pins() > 0 || !index_.chores(1).empty();
}

void KuboStore::look_at_kubo(const plugin::Call& call) {
  try {
    ask_identity(call);
    const kubo::RepoStat stat = rpc_.repo_stat(call);
    const std::lock_guard lock(identity_mutex_);
    repo_ = stat;
    if (!trouble_.empty()) host_.log(IPCS_LOG_INFO, "Kubo at " + rpc_.where() + ": is back");
    trouble_.clear();
  } catch (const Error& e) {
    const std::lock_guard lock(identity_mutex_);
    if (e.code() != Code::kCancelled && trouble_.empty()) host_.log(IPCS_LOG_WARN, e.what());
    trouble_ = e.what();
    if (identity_ == Identity::kSame) identity_ = Identity::kUnknown;  // it may come back as another one
    throw;
  }
}

bool KuboStore::is_being_read(const std::string& digest) {
  const std::lock_guard lock(readers_mutex_);
  return readers_.contains(digest);
}

void KuboStore::do_chores(const plugin::Call& call) {
  for (const Chore& chore : index_.chores(kPage)) {
    if (is_being_read(chore.digest)) continue;  // its blocks must not go before
    try {
      do_chore(call, chore);
    } catch (const Error& e) {
      if (e.code() != Code::kInternal && e.code() != Code::kNotFound && e.code() != Code::kUnknown) throw;
      // Kubo is there and did not do it: the others must not wait for this one.
      host_.log(IPCS_LOG_DEBUG, chore.digest + ": " + e.what());
    }
  }
}

void KuboStore::do_chore(const plugin::Call& call, const Chore& chore) {
  const auto lock = locks_.lock(call, chore.digest);
  const std::string path = mfs_path(chore.digest);
  if (const auto row = index_.find(chore.digest)) {
    rpc_.mfs_link(call, row->cid, path);  // a commit in its place was broken off: the entry may be that one's
  } else if (chore.kind == ChoreKind::kRemove) {
    rpc_.mfs_remove(call, path);
  } else if (rpc_.mfs_stat(call, path)) {
    const DigestParts parts = split_digest(chore.digest);
    const std::string place = config_.prefix + "/quarantine/" + std::string(parts.algorithm);
    rpc_.mfs_make_directory(call, place);
    rpc_.mfs_move(call, path, place + "/" + std::string(parts.hex) + "." + std::to_string(now_ns()));
  }
  index_.finish_chore(chore.digest);
}

void KuboStore::drop_pins(const plugin::Call& call) {
  for (;;) {
    const auto cids = index_.released_pins(now_ns(), kPage);
    for (const ipld::Cid& cid : cids) {
      rpc_.unpin(call, cid);
      index_.forget_pin(cid);
    }
    if (cids.size() < kPage) return;
  }
}

}  // namespace ipcs::ipfs_http
