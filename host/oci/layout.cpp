// Reading and writing OCI image layouts.
#include "oci/layout.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "ipcs/error.hpp"
#include "oci/json_text.hpp"
#include "oci/media_type.hpp"
#include "oci/text.hpp"

namespace ipcs::oci {
namespace {

namespace fs = std::filesystem;

constexpr char kRefName[] = "org.opencontainers.image.ref.name";
constexpr size_t kPiece = 256 << 10;
constexpr char kEmptyIndex[] =
    R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]})";

[[noreturn]] void fail(const fs::path& path) {
  const int error = errno;
  const Code code = error == ENOENT || error == ENOTDIR  ? Code::kNotFound
                    : error == EACCES || error == EPERM  ? Code::kPermissionDenied
                    : error == ENOSPC || error == EDQUOT ? Code::kResourceExhausted
                                                         : Code::kInternal;
  throw Error(code, path.string() + ": " + std::strerror(error));
}

class File {
 public:
  File(const fs::path& path, int flags) : path_(path), fd_(::open(path.c_str(), flags | O_CLOEXEC, 0644)) {
    if (fd_ < 0) fail(path);
  }
  ~File() { ::close(fd_); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  int fd() const noexcept { return fd_; }
  size_t read_at(uint64_t offset, std::span<uint8_t> buffer) const {
    for (;;) {
      const ssize_t got = ::pread(fd_, buffer.data(), buffer.size(), static_cast<off_t>(offset));
      if (got >= 0) return static_cast<size_t>(got);
      if (errno != EINTR) fail(path_);
    }
  }
  void write(std::span<const uint8_t> bytes) const {
    while (!bytes.empty()) {
      const ssize_t put = ::write(fd_, bytes.data(), bytes.size());
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) fail(path_);
      bytes = bytes.subspan(static_cast<size_t>(put));
    }
  }
  void sync() const {
    if (::fsync(fd_) != 0) fail(path_);
  }

 private:
  fs::path path_;
  int fd_;
};

void sync_directory(const fs::path& path) {
  File(path, O_RDONLY | O_DIRECTORY).sync();
}

// A file that is written beside its place and moved there when it is whole; removed when it never is.
class Beside {
 public:
  explicit Beside(const fs::path& place) : place_(place) {
    std::string pattern = (place.parent_path() / ".writing-XXXXXX").string();
    const int fd = ::mkostemp(pattern.data(), O_CLOEXEC);
    if (fd < 0) fail(place.parent_path());
    ::fchmod(fd, 0644);
    ::close(fd);
    path_ = pattern;
    file_.emplace(path_, O_WRONLY);
  }
  ~Beside() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  Beside(const Beside&) = delete;
  Beside& operator=(const Beside&) = delete;

  void write(std::span<const uint8_t> bytes) const { file_->write(bytes); }
  void move() {
    file_->sync();
    if (::rename(path_.c_str(), place_.c_str()) != 0) fail(place_);
    path_.clear();
    sync_directory(place_.parent_path());
  }

 private:
  fs::path place_;
  fs::path path_;
  std::optional<File> file_;
};

std::string read_file(const fs::path& path, uint64_t limit) {
  const File file(path, O_RDONLY);
  std::string text;
  std::vector<uint8_t> buffer(65536);
  while (const size_t got = file.read_at(text.size(), buffer)) {
    if (text.size() + got > limit)
      throw Error(Code::kResourceExhausted, path.string() + ": larger than " + std::to_string(limit) + " bytes");
    text.append(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(got));
  }
  return text;
}

void write_file(const fs::path& path, std::string_view text) {
  Beside file(path);
  file.write({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  file.move();
}

std::string tag_of(const Descriptor& descriptor) {
  const auto found = descriptor.annotations().find(kRefName);
  return found == descriptor.annotations().end() ? "" : found->second;
}

}  // namespace

Layout Layout::open(const fs::path& directory) {
  const fs::path marker = directory / "oci-layout";
  const JsonText document = JsonText::parse(read_file(marker, 65536), marker.string());
  const nlohmann::json& value = document.value();
  const bool known = value.is_object() && value.contains("imageLayoutVersion") &&
                     value["imageLayoutVersion"].is_string() &&
                     value["imageLayoutVersion"].get<std::string>().starts_with("1.");
  if (!known) throw Error(Code::kFailedPrecondition, marker.string() + ": not a layout of version 1");
  return Layout(directory);
}

Layout Layout::create(const fs::path& directory) {
  std::error_code error;
  if (fs::exists(directory / "oci-layout", error)) return open(directory);
  fs::create_directories(directory / "blobs" / "sha256", error);
  if (error) throw Error(Code::kFailedPrecondition, directory.string() + ": " + error.message());
  for (const auto& entry : fs::directory_iterator(directory)) {
    const std::string name = entry.path().filename();
    if (name == "blobs" || name == "index.json" || name.starts_with(".writing-") || name == ".lock") continue;
    throw Error(Code::kFailedPrecondition,
                directory.string() + ": not an OCI layout, and not empty: it has \"" + one_line(name, 60) + "\"");
  }
  if (!fs::exists(directory / "index.json")) write_file(directory / "index.json", kEmptyIndex);
  write_file(directory / "oci-layout", R"({"imageLayoutVersion":"1.0.0"})");
  return Layout(directory);
}

fs::path Layout::blob_path(const Digest& digest) const {
  return directory_ / "blobs" / to_string(digest.algorithm()) / digest.hex();
}

std::vector<Layout::Entry> Layout::entries() const {
  const fs::path path = directory_ / "index.json";
  const Manifest index = Manifest::parse(read_file(path, kMaxManifest), kOciIndex, path.string());
  std::vector<Entry> entries;
  for (const Child& child : index.children()) entries.push_back({tag_of(child.descriptor), child.descriptor});
  return entries;
}

Descriptor Layout::find(const std::string& tag) const {
  const std::vector<Entry> all = entries();
  std::vector<Descriptor> found;
  std::string tags;
  for (const Entry& entry : all) {
    if (tag.empty() || entry.tag == tag) found.push_back(entry.descriptor);
    if (tags.size() < 200)
      tags += (tags.empty() ? "" : ", ") +
              (entry.tag.empty() ? entry.descriptor.digest().to_string() : one_line(entry.tag, 60));
  }
  if (all.empty()) throw Error(Code::kNotFound, name() + ": no image in it");
  const std::string there = "; there are " + tags;
  if (found.empty()) throw Error(Code::kNotFound, name() + ": no tag \"" + one_line(tag, 60) + "\"" + there);
  if (found.size() > 1) {
    throw Error(Code::kInvalidArgument,
                name() +
                    (tag.empty() ? ": which of its images is meant"
                                 : ": several images have the tag \"" + one_line(tag, 60) + "\"") +
                    there);
  }
  return found[0];
}

void Layout::read(const Descriptor& blob, uint64_t from, const Sink& sink, const Call& call) {
  const fs::path path = blob_path(blob.digest());
  const File file(path, O_RDONLY);
  Verifier verifier(blob, from, path.string());
  std::vector<uint8_t> buffer(kPiece);
  while (const size_t got = file.read_at(verifier.offset(), buffer)) {
    call.check();
    const auto piece = std::span<const uint8_t>(buffer).first(got);
    verifier.update(piece);
    sink(piece);
  }
  verifier.finish();
}

bool Layout::has(const Descriptor& blob, const Call& call) {
  try {
    read(
        blob, 0, [](std::span<const uint8_t>) {}, call);
    return true;
  } catch (const Error& error) {
    if (error.code() == Code::kNotFound || error.code() == Code::kDataLoss) return false;
    throw;
  }
}

void Layout::put(const Descriptor& blob, BlobSource& source, const Call& call) {
  const fs::path path = blob_path(blob.digest());
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  if (error) throw Error(Code::kInternal, path.parent_path().string() + ": " + error.message());
  Beside file(path);
  // Not every source hashes: the layout does.
  Verifier verifier(blob, 0, path.string());
  source.read(
      blob, 0,
      [&](std::span<const uint8_t> piece) {
        verifier.update(piece);
        file.write(piece);
      },
      call);
  verifier.finish();
  file.move();
}

void Layout::tag(const Descriptor& root, const std::string&, const std::string& tag, const Call& call) {
  const File lock(directory_ / ".lock", O_RDWR | O_CREAT);
  while (::flock(lock.fd(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) fail(directory_);
    call.sleep(std::chrono::milliseconds(20));
  }
  const fs::path path = directory_ / "index.json";
  std::error_code error;
  const JsonText document =
      JsonText::parse(fs::exists(path, error) ? read_file(path, kMaxManifest) : kEmptyIndex, path.string());
  const Descriptor named = tag.empty() ? root : root.with_annotation(kRefName, tag);
  // Other entries stay as they are written.
  const Manifest index = Manifest::parse(document.text(), kOciIndex, path.string());
  const JsonSpan& list = *document.root().find("manifests");
  std::string entries;
  for (size_t i = 0; i < list.elements.size(); ++i) {
    const Descriptor& entry = index.children()[i].descriptor;
    const bool same_tag = !tag.empty() && tag_of(entry) == tag;
    const bool same_blob = entry.digest() == root.digest() && (tag_of(entry).empty() || tag_of(entry) == tag);
    if (!same_tag && !same_blob) entries += std::string(document.at(list.elements[i])) + ",";
  }
  JsonEdit edit(document);
  edit.replace(list, "[" + entries + named.text() + "]");
  write_file(path, edit.apply());
}

}  // namespace ipcs::oci
