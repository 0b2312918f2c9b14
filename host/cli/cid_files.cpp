// From files to DAGs, and from flags to a profile.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "cli/cid.hpp"
#include "ipcs/error.hpp"

namespace ipcs::cli {
namespace {

namespace fs = std::filesystem;

constexpr size_t kPiece = 1 << 20;
constexpr int kMostDirectories = 1000;  // one in the other; paths end at 4,096 bytes

[[noreturn]] void fail(const std::string& path, int error) {
  throw Error(error == ENOENT ? Code::kNotFound : Code::kInvalidArgument,
              fmt::format("{}: {}", path, std::strerror(error)));
}

class Descriptor {
 public:
  explicit Descriptor(const std::string& path)
      : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)) {
    if (fd_ < 0) fail(path, errno);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { ::close(fd_); }
  int get() const noexcept { return fd_; }

 private:
  int fd_;
};

}  // namespace

ipld::Profile profile_of(const CidFlags& flags) {
  ipld::Profile profile = ipld::named_profile(flags.profile.empty() ? "default" : flags.profile);
  if (!flags.hash.empty()) profile.hash = ipld::parse_hash_code(flags.hash);
  if (flags.cid_version) {
    profile.cid_version = *flags.cid_version;
  } else if (flags.profile.empty() && profile.hash != ipld::HashCode::kSha2_256) {
    profile.cid_version = 1;
  }
  // A version 1 brings raw leaves along where neither the flag nor a profile says something else.
  if (flags.profile.empty() && profile.cid_version == 1) profile.raw_leaves = true;
  if (flags.raw_leaves) profile.raw_leaves = *flags.raw_leaves;
  if (!flags.chunker.empty()) profile.chunker = flags.chunker;
  if (flags.max_file_links) profile.max_links = *flags.max_file_links;
  if (flags.inline_small) profile.inline_limit = flags.inline_limit;
  profile.validate();
  return profile;
}

FileTree::FileTree(const ipld::Profile& profile, Options options, ipld::BlockSink& sink, const Interrupt& interrupt,
                   std::function<void(size_t)> read_bytes)
    : profile_(profile),
      options_(options),
      sink_(sink),
      interrupt_(interrupt),
      read_bytes_(std::move(read_bytes)),
      buffer_(kPiece) {}

ipld::Subtree FileTree::add(const std::string& path) {
  return path == "-" ? add_file(STDIN_FILENO, "standard input") : add_below(path, 0);
}

ipld::Subtree FileTree::add_below(const std::string& path, int depth) {
  interrupt_.check();
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) fail(path, errno);
  if (S_ISLNK(info.st_mode)) {
    std::error_code error;
    const std::string target = fs::read_symlink(path, error).string();
    if (error) fail(path, error.value());
    return ipld::make_symlink(profile_, target, sink_);
  }
  if (S_ISDIR(info.st_mode)) return add_directory(path, depth);
  if (!S_ISREG(info.st_mode))
    throw Error(Code::kInvalidArgument, fmt::format("{}: it is no file, directory or symbolic link", path));
  const Descriptor file(path);
  return add_file(file.get(), path);
}

ipld::Subtree FileTree::add_file(int fd, const std::string& name) {
  ipld::DagBuilder builder(profile_, sink_);
  while (true) {
    interrupt_.wait_readable(fd);
    const ssize_t count = ::read(fd, buffer_.data(), buffer_.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail(name, errno);
    if (count == 0) return builder.finish();
    builder.append(ipld::BytesView(buffer_).first(static_cast<size_t>(count)));
    read_bytes_(static_cast<size_t>(count));
  }
}

ipld::Subtree FileTree::add_directory(const std::string& path, int depth) {
  if (!options_.recursive)
    throw Error(Code::kInvalidArgument, fmt::format("{}: it is a directory; -r takes directories too", path));
  if (depth == kMostDirectories)
    throw Error(Code::kInvalidArgument, fmt::format("{}: more than {} directories deep", path, kMostDirectories));
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator entry(path, error), end; !error && entry != end; entry.increment(error)) {
    std::string name = entry->path().filename().string();
    if (options_.hidden || name[0] != '.') names.push_back(std::move(name));
  }
  if (error) fail(path, error.value());
  std::vector<ipld::DirectoryEntry> entries;
  for (std::string& name : names) {
    ipld::Subtree child = add_below((fs::path(path) / name).string(), depth + 1);
    entries.push_back({std::move(name), child});
  }
  return ipld::make_directory(profile_, std::move(entries), sink_);
}

}  // namespace ipcs::cli
