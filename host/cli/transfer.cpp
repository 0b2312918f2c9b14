// `ipcsctl content get` and `ingest`: a blob's bytes out of and into the store.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "cli/session.hpp"
#include "cli/text.hpp"
#include "ipcs/error.hpp"
#include "oci/digest.hpp"

namespace ipcs::cli {
namespace {

constexpr size_t kMessage = 1 << 20;  // bytes of data in a WRITE
constexpr auto kPatience = std::chrono::milliseconds(200);  // with a slow input before ipcsd is looked at

std::span<const uint8_t> as_bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

struct GetArgs {
  std::string digest;
};

int get(Session& session, const GetArgs& args) {
  content_api::Content::Stub& stub = session.connection.content();
  content_api::InfoRequest info;
  info.set_digest(args.digest);
  const auto size = static_cast<uint64_t>(
      session.connection.call<content_api::InfoResponse>(stub, &content_api::Content::Stub::Info, info).info().size());

  content_api::ReadContentRequest message;
  message.set_digest(args.digest);
  oci::Hasher hasher(oci::Digest::parse(args.digest).algorithm());
  // A bar would run through the bytes on a terminal.
  const auto progress = ::isatty(STDOUT_FILENO) == 1 ? nullptr : session.progress("get");
  Connection::Request request(session.connection);
  const auto stream = stub.Read(request.context(), message);
  uint64_t done = 0;
  try {
    content_api::ReadContentResponse response;
    while (stream->Read(&response)) {
      session.output.write(response.data());
      hasher.update(as_bytes(response.data()));
      done += response.data().size();
      if (progress) progress->update(done, size, args.digest);
    }
  } catch (...) {
    request.cancel();
    stream->Finish();
    throw;
  }
  if (progress) progress->clear();
  session.connection.check(stream->Finish());
  if (hasher.digest().to_string() != args.digest)
    throw Error(Code::kDataLoss,
                fmt::format("content {}: the {} bytes that came have the digest {}; `ipcsctl verify {}` "
                            "takes a damaged blob out of service",
                            args.digest, done, hasher.digest().to_string(), args.digest));
  return kOk;
}

// The bytes to be stored: a file or standard input. Owns the file.
class Source {
 public:
  // Throws Error that names the file. "-" and the empty name are standard input.
  Source(const std::string& path, const Interrupt& interrupt)
      : name_(path.empty() || path == "-" ? "standard input" : path), interrupt_(interrupt) {
    if (path.empty() || path == "-") return;
    fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd_ < 0) fail();
  }
  ~Source() {
    if (fd_ != STDIN_FILENO) ::close(fd_);
  }
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  // Bytes from here to the end, where that is known.
  std::optional<uint64_t> size() const {
    struct stat info {};
    if (::fstat(fd_, &info) != 0) fail();
    const off_t at = ::lseek(fd_, 0, SEEK_CUR);
    if (!S_ISREG(info.st_mode) || at < 0) return std::nullopt;
    return static_cast<uint64_t>(std::max<off_t>(0, info.st_size - at));
  }
  // Goes back by `count` bytes; says whether that can be done.
  bool back(uint64_t count) const { return ::lseek(fd_, -static_cast<off_t>(count), SEEK_CUR) >= 0; }
  // Fills `out` but for the end of the input. `idle` is called now and then while the input has nothing.
  void read(size_t most, std::string& out, const std::function<void()>& idle) const {
    out.resize(most);
    size_t held = 0;
    while (held < most) {
      while (!interrupt_.wait_readable(fd_, kPatience)) idle();
      const ssize_t count = ::read(fd_, out.data() + held, most - held);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) fail();
      if (count == 0) break;
      held += static_cast<size_t>(count);
    }
    out.resize(held);
  }

 private:
  [[noreturn]] void fail() const {
    throw Error(Code::kInvalidArgument, fmt::format("{}: {}", name_, std::strerror(errno)));
  }

  std::string name_;
  const Interrupt& interrupt_;
  int fd_ = STDIN_FILENO;
};

struct IngestArgs {
  std::string ref, file, digest;
  uint64_t size = 0;  // 0: not said
};

// One Write stream, a message at a time. Throws what the daemon answers; then, and in the destructor, the call is over.
class WriteStream {
 public:
  explicit WriteStream(Connection& connection)
      : connection_(connection), request_(connection), stream_(connection.content().Write(request_.context())) {}
  ~WriteStream() {
    if (over_) return;
    request_.cancel();
    stream_->Finish();
  }

  // Throws when the call is over, while nothing is asked.
  void check() { connection_.check(request_); }

  content_api::WriteContentResponse ask(const content_api::WriteContentRequest& message) {
    content_api::WriteContentResponse response;
    if (!stream_->Write(message) || !stream_->Read(&response)) finish();
    return response;
  }

 private:
  [[noreturn]] void finish() {
    over_ = true;
    connection_.check(stream_->Finish());
    throw Error(Code::kInternal, "ipcsd ended the stream before it had answered");
  }

  Connection& connection_;
  Connection::Request request_;
  std::unique_ptr<grpc::ClientReaderWriter<content_api::WriteContentRequest, content_api::WriteContentResponse>>
      stream_;
  bool over_ = false;
};

// Stores one input under a ref.
class Ingestion {
 public:
  Ingestion(Session& session, const IngestArgs& args)
      : session_(session),
        args_(args),
        source_(args.file, session.interrupt),
        hasher_(args.digest.empty() ? oci::Algorithm::kSha256 : oci::Digest::parse(args.digest).algorithm()),
        total_(args.size > 0 ? args.size : source_.size().value_or(0)),
        progress_(session.progress("ingest")) {}

  // Returns the blob's digest.
  std::string run() {
    WriteStream stream(session_.connection);
    begin(stream);
    content_api::WriteContentRequest message;
    for (;;) {
      source_.read(kMessage, *message.mutable_data(), [&] { stream.check(); });
      if (message.data().empty()) break;
      hasher_.update(as_bytes(message.data()));
      message.set_action(content_api::WRITE);
      message.set_offset(static_cast<int64_t>(offset_));
      stream.ask(message);
      offset_ += message.data().size();
      progress_->update(offset_, total_, args_.ref);
    }
    message.set_action(content_api::COMMIT);
    message.set_offset(static_cast<int64_t>(offset_));
    message.set_total(static_cast<int64_t>(args_.size > 0 ? args_.size : offset_));
    message.set_expected(args_.digest);
    const std::string digest = commit(stream, message);
    if (digest != hashed() && digest != args_.digest)
      throw Error(Code::kDataLoss,
                  fmt::format("ref {}: {} was sent, ipcsd stored {}", printable(args_.ref), hashed(), digest));
    return digest;
  }

  // Digest of what was read so far.
  std::string hashed() const { return hasher_.digest().to_string(); }
  uint64_t offset() const { return offset_; }
  void clear() { progress_->clear(); }

 private:
  std::string commit(WriteStream& stream, const content_api::WriteContentRequest& message) {
    try {
      return stream.ask(message).digest();
    } catch (const Error& e) {
      // Another digest or size than was expected. The bytes may be right and the expectation wrong.
      if (e.code() != Code::kFailedPrecondition) throw;
      throw Error(e.code(), fmt::format("{}; the ingest stays, `ipcsctl content abort {}` drops it", e.what(),
                                        printable(args_.ref)));
    }
  }

  // Opens the ref, and goes on behind the bytes that are held under it when the input begins with the same.
  void begin(WriteStream& stream) {
    content_api::WriteContentRequest message;
    message.set_action(content_api::STAT);
    message.set_ref(args_.ref);
    message.set_total(static_cast<int64_t>(total_));
    message.set_expected(args_.digest);
    const content_api::WriteContentResponse held = stream.ask(message);
    if (held.offset() <= 0) return;
    const auto offset = static_cast<uint64_t>(held.offset());
    if (skip(stream, offset, oci::Digest::parse(held.digest()))) {
      offset_ = offset;
      session_.tell(fmt::format("{}: goes on after {} held from before", args_.ref, size_text(offset)));
      return;
    }
    if (!source_.back(skipped_))
      throw Error(Code::kFailedPrecondition,
                  fmt::format("ref {}: other bytes are held under it from before; `ipcsctl content abort` drops them",
                              printable(args_.ref)));
    hasher_.reset();
    content_api::WriteContentRequest restart;  // at offset 0: the daemon drops what it holds
    restart.set_action(content_api::WRITE);
    stream.ask(restart);
  }

  // Reads `count` bytes; says whether they are there and have that digest.
  bool skip(WriteStream& stream, uint64_t count, const oci::Digest& digest) {
    oci::Hasher held(digest.algorithm());
    std::string data;
    while (skipped_ < count) {
      source_.read(static_cast<size_t>(std::min<uint64_t>(kMessage, count - skipped_)), data, [&] { stream.check(); });
      if (data.empty()) return false;
      skipped_ += data.size();
      held.update(as_bytes(data));
      hasher_.update(as_bytes(data));
    }
    return held.digest() == digest;
  }

  Session& session_;
  const IngestArgs& args_;
  const Source source_;
  oci::Hasher hasher_;
  const uint64_t total_;  // bytes, 0: not known
  std::unique_ptr<Progress> progress_;
  uint64_t offset_ = 0;   // bytes that the daemon holds
  uint64_t skipped_ = 0;  // bytes that were read to compare
};

// What is stored already has its digest; the size that the user expects is looked at all the same.
void check_size(Session& session, const std::string& digest, uint64_t expected) {
  content_api::InfoRequest message;
  message.set_digest(digest);
  const auto size = static_cast<uint64_t>(session.connection
                                              .call<content_api::InfoResponse>(session.connection.content(),
                                                                               &content_api::Content::Stub::Info, message)
                                              .info()
                                              .size());
  if (size != expected)
    throw Error(Code::kFailedPrecondition,
                fmt::format("content {}: is stored already, and has {} bytes, not {}", digest, size, expected));
}

int ingest(Session& session, const IngestArgs& args) {
  Ingestion ingestion(session, args);
  std::string digest;
  bool existed = false;
  try {
    digest = ingestion.run();
  } catch (const Interrupted&) {
    ingestion.clear();
    if (ingestion.offset() > 0)
      session.tell(fmt::format("{}: what was stored is kept; the same command goes on from there", args.ref));
    throw;
  } catch (const Error& e) {
    if (e.code() != Code::kAlreadyExists) throw;
    // The daemon has pinned what was there already.
    digest = args.digest.empty() ? ingestion.hashed() : args.digest;
    existed = true;
  }
  ingestion.clear();
  if (existed && args.size > 0) check_size(session, digest, args.size);
  if (existed) session.tell(fmt::format("{}: was stored already; it is pinned now", digest));
  if (session.json()) {
    session.output.json({{"ref", args.ref}, {"digest", digest}, {"existed", existed}});
  } else {
    session.output.line(digest);
  }
  return kOk;
}

// CLI11 takes "-1" for the largest number there is.
CLI::Validator is_size() {
  return CLI::Validator(
      [](std::string& text) {
        const bool digits = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
        return digits && text.size() <= 18 ? std::string()
                                           : fmt::format("\"{}\" is no number of bytes", printable(text));
      },
      "", "size");
}

}  // namespace

void add_transfer(CLI::App& content, Choice& choice) {
  auto got = std::make_shared<GetArgs>();
  add_verb(content, choice, "get", "write a blob's bytes to standard output", get, got)
      ->add_option("DIGEST", got->digest, "of the blob")
      ->type_name("")
      ->required()
      ->check(is_digest());

  auto stored = std::make_shared<IngestArgs>();
  CLI::App* verb = add_verb(content, choice, "ingest", "store a blob and pin it; prints its digest", ingest, stored);
  verb->add_option("REF", stored->ref, "a name for the ingest, to go on after a break")
      ->type_name("")
      ->required()
      ->check(is_text())
      ->check(is_not_empty());
  verb->add_option("FILE", stored->file, "its bytes; standard input when not given")->type_name("");
  verb->add_option("--expected-digest", stored->digest, "refuse bytes with another digest; content that is stored already is not read again")
      ->type_name("DIGEST")
      ->check(is_digest());
  verb->add_option("--expected-size", stored->size, "refuse more or fewer bytes")->type_name("BYTES")->check(is_size());
}

}  // namespace ipcs::cli
