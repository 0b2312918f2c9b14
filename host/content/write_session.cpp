// The state of a Write stream between its messages.
#include "content/write_session.hpp"

#include <fmt/format.h>

#include "content/limits.hpp"

namespace ipcs::content {

void WriteSession::pin_for(const std::string& owner) {
  if (!client_.is_operator) return;
  check_owner(owner);
  client_.owner = owner;
}

void WriteSession::open(const Call& call, const WriteMessage& message) {
  if (message.ref.empty()) throw Error(Code::kInvalidArgument, "first message must have a reference");
  const uint64_t total = message.total > 0 ? static_cast<uint64_t>(message.total) : 0;
  const bool settled_by_commit = message.action == WriteAction::kCommit && names_stored_root(call, message.expected);
  writer_.emplace(content_.open_writer(call, client_, message.ref, total,
                                       settled_by_commit ? std::string() : message.expected, unknown_));
  total_ = total;
  expected_ = message.expected;
}

void WriteSession::expect(const Call& call, const WriteMessage& message) {
  if (message.total > 0) total_ = static_cast<uint64_t>(message.total);
  if (message.expected.empty()) return;
  expected_ = message.expected;
  // Asked anew at each message, as another stream may have been faster; whatever else is wrong with the message.
  const auto stored = content_.claim_if_stored(call, client_, Digest::parse(expected_));
  if (!stored || (stored->root_digest && message.action == WriteAction::kCommit)) return;
  content_.abort(call, client_, writer_->status().ref);
  writer_.reset();
  throw Error(Code::kAlreadyExists, fmt::format("blob with expected digest {} exists", message.expected));
}

bool WriteSession::names_stored_root(const Call& call, const std::string& digest) const {
  if (digest.empty()) return false;
  const auto stored = content_.stores().stat(call, Digest::parse(digest));
  return stored && stored->root_digest;
}

void WriteSession::take_data(const Call& call, const WriteMessage& message) {
  const uint64_t held = writer_->status().offset;
  if (message.offset < 0 || (message.offset > 0 && static_cast<uint64_t>(message.offset) != held))
    throw Error(Code::kOutOfRange, fmt::format("write @{} must occur at current offset {}", message.offset, held));
  if (message.offset == 0 && held > 0) writer_->truncate(call);
  if (!message.data.empty()) writer_->write(call, message.data);
}

WriteReply WriteSession::on_message(const Call& call, const WriteMessage& message) {
  if (message.labels != nullptr) check_labels(*message.labels);
  if (!writer_) {
    open(call, message);
  } else {
    expect(call, message);
  }
  WriteReply reply;
  reply.action = message.action;
  switch (message.action) {
    case WriteAction::kStat: {
      const IngestStatus status = writer_->status();
      reply.total = static_cast<int64_t>(total_);
      reply.started_ns = status.started_ns;
      reply.updated_ns = status.updated_ns;
      reply.digest = writer_->digest().to_string();
      break;
    }
    case WriteAction::kWrite:
      take_data(call, message);
      reply.digest = writer_->digest().to_string();
      break;
    case WriteAction::kCommit:
      take_data(call, message);
      reply.digest = writer_->commit(call, total_, expected_, message.labels).to_string();
      reply.done = true;
      break;
  }
  reply.offset = static_cast<int64_t>(writer_->status().offset);
  return reply;
}

}  // namespace ipcs::content
