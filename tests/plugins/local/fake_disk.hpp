// A file system in memory that knows what was synced, and can lose the rest as a power loss would.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "file_system.hpp"
#include "ipcs/error.hpp"

namespace ipcs::local::test {

using Bytes = std::vector<uint8_t>;

// What a disk may look like after the power came back.
enum class Loss {
  kNone,        // the process was killed, the machine went on
  kEverything,  // nothing that was not synced is there
  kContents,    // all names are there, contents are not
  kSome         // each unsynced name or content is there or not, or is zeros, or a mixture, as chance has it
};

struct Node {
  bool directory = false;
  Bytes content, synced_content;
  std::map<std::string, std::shared_ptr<Node>> names, synced_names;
};

// The disk outlives the file systems that work on it. [thread-safe]
class FakeDisk {
 public:
  FakeDisk() { root_->directory = true; }

  // Power fails before operation number `operation` (from 0, counted from now on); all later ones fail too.
  void fail_at(size_t operation) { operations_ = 0, fail_at_ = operation, off_ = false; }
  // Power fails now.
  void fail() noexcept { off_ = true; }
  std::function<void()> on_failure;  // called when the power fails at an operation; must not call back
  size_t operations() const { return operations_; }
  bool is_off() const { return off_; }
  // Switches it on again with what is left.
  void restart(Loss loss, uint32_t seed) {
    std::mt19937 random(seed);
    if (loss != Loss::kNone) lose(*root_, loss, random);
    fail_at_ = SIZE_MAX;
    off_ = false;
  }

  std::atomic<int> broken_file_syncs{0};       // so many syncs of files fail from now on
  std::atomic<int> broken_directory_syncs{0};  // likewise of directories
  std::atomic<int> file_syncs{0};
  std::atomic<int> directory_syncs{0};
  std::atomic<int> full_syncs{0};
  std::atomic<int> directory_sync_delay_ms{0};
  std::atomic<int> file_sync_delay_ms{0};
  std::atomic<uint64_t> capacity{UINT64_MAX};  // bytes of contents; more fails as a full disk does
  std::atomic<uint64_t> reported_total{1 << 30}, reported_available{1 << 30};

 private:
  friend class FakeFile;
  friend class FakeFileSystem;

  // One operation, under the lock. Every one is a moment at which the power may fail.
  std::unique_lock<std::mutex> operate() {
    std::unique_lock lock(mutex_);
    if (off_ || operations_ == fail_at_) {
      if (!off_.exchange(true) && on_failure) on_failure();
      throw Error(Code::kInternal, "the power is off");
    }
    ++operations_;
    return lock;
  }

  static void lose(Node& node, Loss loss, std::mt19937& random) {
    if (loss != Loss::kContents) {
      auto left = node.synced_names;
      if (loss == Loss::kSome) {
        for (const auto& [name, child] : node.synced_names) {
          const auto now = node.names.find(name);
          if ((now == node.names.end() || now->second != child) && random() % 2 == 0) left.erase(name);
        }
        for (const auto& [name, child] : node.names) {
          if (random() % 2 == 0) left.insert_or_assign(name, child);
        }
      }
      node.names = left;
    }
    if (node.content != node.synced_content) {
      const auto chance = loss == Loss::kSome ? random() % 4 : 0;
      if (chance == 0) node.content = node.synced_content;
      if (chance == 1) zero_unsynced(node);
      if (chance == 2) tear(node, random);
      node.synced_content = node.content;
    }
    for (const auto& [name, child] : node.names) lose(*child, loss, random);
    node.synced_names = node.names;
  }

  // What was written since the last sync is zeros. A sector that nobody has written to is not touched by a power loss.
  static void zero_unsynced(Node& node) {
    each_sector(node, [&](size_t begin, size_t end, bool) {
      std::fill(node.content.begin() + static_cast<ptrdiff_t>(begin),
                node.content.begin() + static_cast<ptrdiff_t>(end), uint8_t{0});
    });
  }
  // Of what was written since the last sync each sector is there or not: as it was, or zeros where there was nothing.
  static void tear(Node& node, std::mt19937& random) {
    each_sector(node, [&](size_t begin, size_t end, bool was_there) {
      if (random() % 2 == 0) return;
      for (size_t i = begin; i < end; ++i) node.content[i] = was_there ? node.synced_content[i] : uint8_t{0};
    });
  }
  // Calls body(begin, end, whether the old content reaches there) for each sector that differs from what was synced.
  template <class Body>
  static void each_sector(Node& node, Body&& body) {
    constexpr size_t kSector = 512;
    for (size_t begin = 0; begin < node.content.size(); begin += kSector) {
      const size_t end = std::min(begin + kSector, node.content.size());
      const bool was_there = end <= node.synced_content.size();
      const auto at = [](Bytes& bytes, size_t i) { return bytes.begin() + static_cast<ptrdiff_t>(i); };
      if (was_there && std::equal(at(node.content, begin), at(node.content, end), at(node.synced_content, begin)))
        continue;
      body(begin, end, was_there);
    }
  }
  static void sync(Node& node) {
    node.synced_content = node.content;
    node.synced_names = node.names;
    for (const auto& [name, child] : node.names) sync(*child);
  }

  // Null when there is none.
  std::shared_ptr<Node> find(const std::string& path) const {
    std::shared_ptr<Node> node = root_;
    for (size_t begin = 0; node && begin < path.size();) {
      const size_t end = std::min(path.find('/', begin), path.size());
      const auto child = node->names.find(path.substr(begin, end - begin));
      node = child == node->names.end() ? nullptr : child->second;
      begin = end + 1;
    }
    return node;
  }
  struct Place {
    std::shared_ptr<Node> parent;
    std::string name;
  };
  Place place(const std::string& path) const {
    const size_t slash = path.find_last_of('/');
    const Place out = {slash == std::string::npos ? root_ : find(path.substr(0, slash)),
                       slash == std::string::npos ? path : path.substr(slash + 1)};
    if (!out.parent) throw Error(Code::kNotFound, path + ": no such directory");
    return out;
  }
  static uint64_t links(const Node& directory, const Node* node) {
    uint64_t count = 0;
    for (const auto& [name, child] : directory.names) count += (child.get() == node ? 1 : 0) + links(*child, node);
    return count;
  }
  static uint64_t stored(const Node& node) {
    uint64_t bytes = node.content.size();
    for (const auto& [name, child] : node.names) bytes += stored(*child);
    return bytes;
  }

  std::mutex mutex_;
  const std::shared_ptr<Node> root_ = std::make_shared<Node>();
  std::atomic<size_t> operations_{0};
  std::atomic<size_t> fail_at_{SIZE_MAX};
  std::atomic<bool> off_{false};
};

class FakeFile final : public File {
 public:
  FakeFile(FakeDisk& disk, std::shared_ptr<Node> node) : disk_(disk), node_(std::move(node)) {}
  FileInfo info() override {
    const auto lock = disk_.operate();
    FileInfo info;
    info.regular = true;
    info.size = node_->content.size();
    info.links = FakeDisk::links(*disk_.root_, node_.get());
    return info;
  }
  size_t read_at(uint64_t offset, std::span<uint8_t> out) override {
    const auto lock = disk_.operate();
    if (offset >= node_->content.size()) return 0;
    const size_t count = std::min(out.size(), node_->content.size() - static_cast<size_t>(offset));
    std::copy_n(node_->content.begin() + static_cast<ptrdiff_t>(offset), count, out.begin());
    return count;
  }
  size_t read_cached(uint64_t offset, std::span<uint8_t> out) noexcept override {
    const std::lock_guard lock(disk_.mutex_);
    if (offset >= node_->content.size()) return 0;
    const size_t count = std::min(out.size(), node_->content.size() - static_cast<size_t>(offset));
    std::copy_n(node_->content.begin() + static_cast<ptrdiff_t>(offset), count, out.begin());
    return count;
  }
  void write_at(uint64_t offset, std::span<const uint8_t> bytes) override {
    const auto lock = disk_.operate();
    const uint64_t room = disk_.capacity - std::min<uint64_t>(disk_.capacity, FakeDisk::stored(*disk_.root_));
    const size_t fits = static_cast<size_t>(std::min<uint64_t>(bytes.size(), room));
    node_->content.resize(std::max<size_t>(node_->content.size(), offset + fits));
    std::copy_n(bytes.begin(), fits, node_->content.begin() + static_cast<ptrdiff_t>(offset));
    if (fits < bytes.size()) throw Error(Code::kResourceExhausted, "the disk is full");
  }
  void truncate(uint64_t size) override {
    const auto lock = disk_.operate();
    node_->content.resize(size);
  }
  void start_write_back(uint64_t, uint64_t) noexcept override {}
  void sync() override {
    std::this_thread::sleep_for(std::chrono::milliseconds(disk_.file_sync_delay_ms));
    const auto lock = disk_.operate();
    ++disk_.file_syncs;
    if (disk_.broken_file_syncs > 0) {
      --disk_.broken_file_syncs;
      throw Error(Code::kDataLoss, "the disk is broken");
    }
    node_->synced_content = node_->content;
  }
  void make_read_only() noexcept override {}

 private:
  FakeDisk& disk_;
  const std::shared_ptr<Node> node_;
};

class FakeFileSystem final : public FileSystem {
 public:
  explicit FakeFileSystem(FakeDisk& disk) : disk_(disk) {}
  std::string location() const override { return "/fake"; }
  std::unique_ptr<File> open(const std::string& path, OpenMode mode) override {
    const auto lock = disk_.operate();
    std::shared_ptr<Node> node = disk_.find(path);
    if (mode != OpenMode::kCreate) return node && !node->directory ? std::make_unique<FakeFile>(disk_, node) : nullptr;
    if (node) throw Error(Code::kFailedPrecondition, path + ": exists");
    node = std::make_shared<Node>();
    const auto [parent, name] = disk_.place(path);
    parent->names[name] = node;
    return std::make_unique<FakeFile>(disk_, node);
  }
  std::optional<FileInfo> stat(const std::string& path) override {
    const auto lock = disk_.operate();
    const auto node = disk_.find(path);
    if (!node) return std::nullopt;
    FileInfo info;
    info.regular = !node->directory;
    info.size = node->content.size();
    return info;
  }
  std::optional<std::vector<std::string>> list(const std::string& path) override {
    const auto lock = disk_.operate();
    const auto node = disk_.find(path);
    if (!node) return std::nullopt;
    std::vector<std::string> names;
    for (const auto& [name, child] : node->names) names.push_back(name);
    return names;
  }
  void make_directory(const std::string& path) override {
    const auto lock = disk_.operate();
    const auto [parent, name] = disk_.place(path);
    auto& child = parent->names[name];
    if (child) return;
    child = std::make_shared<Node>();
    child->directory = true;
  }
  bool rename_no_replace(const std::string& from, const std::string& to) override {
    const auto lock = disk_.operate();
    const auto source = disk_.place(from);
    const auto target = disk_.place(to);
    const auto node = disk_.find(from);
    if (!node) throw Error(Code::kNotFound, from + ": not found");
    if (!target.parent->names.try_emplace(target.name, node).second) return false;
    source.parent->names.erase(source.name);
    return true;
  }
  bool unlink(const std::string& path) override {
    const auto lock = disk_.operate();
    const auto [parent, name] = disk_.place(path);
    return parent->names.erase(name) != 0;
  }
  void sync_directory(const std::string& path) override {
    // Names that come while a slow sync runs are not covered by it.
    std::map<std::string, std::shared_ptr<Node>> names;
    std::shared_ptr<Node> node;
    {
      const auto lock = disk_.operate();
      ++disk_.directory_syncs;
      if (disk_.broken_directory_syncs > 0) {
        --disk_.broken_directory_syncs;
        throw Error(Code::kDataLoss, "the disk is broken");
      }
      node = disk_.find(path);
      names = node->names;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(disk_.directory_sync_delay_ms));
    const auto lock = disk_.operate();
    node->synced_names = names;
  }
  void sync_all() override {
    const auto lock = disk_.operate();
    ++disk_.full_syncs;
    if (disk_.broken_file_syncs > 0) {
      --disk_.broken_file_syncs;
      throw Error(Code::kDataLoss, "the disk is broken");
    }
    FakeDisk::sync(*disk_.root_);
  }
  Space space() override { return {disk_.reported_total, disk_.reported_available}; }

 private:
  FakeDisk& disk_;
};

}  // namespace ipcs::local::test
