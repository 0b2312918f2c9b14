// A mutex for each key in use: work on one digest or ref never waits for work on another.
#pragma once

#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>

namespace ipcs::content {

// [thread-safe]. Keys cost memory only while somebody holds or waits for them.
template <class Key>
class KeyedMutex {
  struct Entry {
    std::mutex mutex;
    size_t users = 0;  // holders and waiters
  };

 public:
  // Holds a key's mutex until it goes out of scope.
  class Lock {
   public:
    Lock(Lock&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)), key_(std::move(other.key_)), entry_(other.entry_) {}
    Lock& operator=(Lock&&) = delete;
    ~Lock() {
      if (owner_ != nullptr) owner_->release(key_, entry_);
    }

   private:
    friend class KeyedMutex;
    Lock(KeyedMutex* owner, Key key, Entry* entry) : owner_(owner), key_(std::move(key)), entry_(entry) {}
    KeyedMutex* owner_;
    Key key_;
    Entry* entry_;
  };

  // Whether somebody holds the key or waits for it.
  bool in_use(const Key& key) {
    const std::lock_guard guard(mutex_);
    return entries_.contains(key);
  }

  [[nodiscard]] Lock lock(const Key& key) {
    Entry* entry;
    {
      const std::lock_guard guard(mutex_);
      std::unique_ptr<Entry>& slot = entries_[key];
      if (!slot) slot = std::make_unique<Entry>();
      entry = slot.get();
      ++entry->users;
    }
    entry->mutex.lock();
    return Lock(this, key, entry);
  }

 private:
  void release(const Key& key, Entry* entry) {
    entry->mutex.unlock();
    const std::lock_guard guard(mutex_);
    if (--entry->users == 0) entries_.erase(key);
  }

  std::mutex mutex_;
  std::unordered_map<Key, std::unique_ptr<Entry>> entries_;
};

}  // namespace ipcs::content
