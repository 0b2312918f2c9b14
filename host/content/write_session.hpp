// The protocol of one Write stream: STAT, WRITE and COMMIT messages on one ref, answered one by one.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "content/content.hpp"
#include "content/writer.hpp"

namespace ipcs::content {

enum class WriteAction { kStat, kWrite, kCommit };

// A message from the client. The views live as long as the call of on_message.
struct WriteMessage {
  WriteAction action = WriteAction::kStat;
  std::string ref;                // the first message must have one
  int64_t total = 0;              // bytes, 0 or less: not said
  std::string expected;           // digest, empty: not said
  int64_t offset = 0;             // where the data goes
  std::span<const uint8_t> data;
  const Labels* labels = nullptr; // of the blob, with COMMIT
};

// The answer to it.
struct WriteReply {
  WriteAction action = WriteAction::kStat;
  int64_t offset = 0;      // bytes held after the message
  int64_t total = 0;       // STAT only
  std::string digest;      // of the bytes held
  int64_t started_ns = 0;  // STAT only, since 1970 UTC
  int64_t updated_ns = 0;
  bool done = false;       // the stream ends after this answer
};

// One stream. One thread. An Error from on_message ends the stream; the ingest stays unless the message says otherwise.
class WriteSession {
 public:
  WriteSession(Content& content, Client client) : content_(content), client_(std::move(client)) {}

  // Before the first message: what is written or found is pinned for `owner`, if the client is the operator. Throws
  // Error kInvalidArgument as check_owner() does.
  void pin_for(const std::string& owner);

  // Answers as containerd's content server does:
  // - kInvalidArgument: no ref in the first message or one too long, too many labels, a malformed digest, an unknown
  //   action;
  // - kUnavailable: another stream has the ref;
  // - kAlreadyExists: a message names an expected digest that is stored; the client has a claim on it now. The ingest
  //   is gone, except that the first message leaves one that was there before. COMMIT under the digest of a root is
  //   answered OK instead;
  // - kOutOfRange: data for an offset that is not the current one (0 starts anew);
  // - kFailedPrecondition: COMMIT with the wrong size or digest.
  WriteReply on_message(const Call& call, const WriteMessage& message);

  // Whether answering this message, with `size` bytes of data, waits for nothing. It is the next for on_message then.
  bool stays_in_memory(WriteAction action, const std::string& ref, const std::string& expected, uint64_t size) {
    if (writer_) return action != WriteAction::kCommit && expected.empty() && writer_->keeps_in_memory(size);
    if (action != WriteAction::kStat || !content_.begins_anew(client_, ref)) return false;
    // Remembered: a row that comes meanwhile must not have the backend asked here.
    unknown_ = !expected.empty() && content_.is_unknown(expected);
    return expected.empty() || unknown_;
  }

 private:
  void open(const Call& call, const WriteMessage& message);
  void expect(const Call& call, const WriteMessage& message);
  void take_data(const Call& call, const WriteMessage& message);
  // Whether the digest is one of a root and stored: a COMMIT under it is answered OK.
  bool names_stored_root(const Call& call, const std::string& digest) const;

  Content& content_;
  Client client_;
  std::optional<Writer> writer_;
  bool unknown_ = false;  // the blob that the first message expects
  uint64_t total_ = 0;
  std::string expected_;
};

}  // namespace ipcs::content
