// A plugin in this process: loaded, checked against the ABI, and opened with a deadline.
#include "plugin/loader.hpp"

#include <dlfcn.h>
#include <fmt/format.h>

#include <boost/dll/shared_library.hpp>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "ipcs/error.hpp"
#include "plugin/abi_check.hpp"
#include "plugin/crash_note.hpp"
#include "plugin/one_line.hpp"

namespace ipcs::loader {
namespace {

// The dynamic linker's own words out of Boost.DLL's exception. They usually begin with the path.
std::string linker_text(const std::string& what, const std::string& path) {
  static constexpr std::string_view kMark = "(dlerror system message: ";
  const size_t at = what.find(kMark);
  if (at == std::string::npos) return one_line(what);
  std::string text = what.substr(at + kMark.size());
  if (const size_t end = text.rfind(')'); end != std::string::npos) text.resize(end);
  const std::string prefix = path + ": ";
  return one_line(text.compare(0, prefix.size(), prefix) == 0 ? text.substr(prefix.size()) : text);
}

// Calls into a plugin: nothing but a code may come out.
template <class Body>
std::optional<Error> guarded(const std::string& subject, Body&& body) {
  try {
    ipcs_status status{};
    const int32_t code = body(&status);
    if (code == IPCS_OK) return std::nullopt;
    const Error error = error_from(code, status);
    return Error(error.code(), subject + ": " + one_line(error.what(), IPCS_MESSAGE_MAX));
  } catch (const std::exception& e) {
    return Error(Code::kInternal, subject + ": let an exception out: " + one_line(e.what()));
  } catch (...) {
    return Error(Code::kInternal, subject + ": let an exception of unknown type out");
  }
}

// An open() under way, shared by the thread that runs it and the one that waits.
class Opening {
 public:
  Opening(const ipcs_plugin* plugin, OpenRequest request)
      : plugin_(plugin),
        config_(std::move(request.config_json)),
        flags_(request.read_only ? uint32_t{IPCS_OPEN_READ_ONLY} : 0u),
        host_(std::make_shared<HostTable>(plugin->name, std::move(request.services))) {
    if (request.deadline == Call::Clock::time_point::max())
      call_.emplace();
    else
      call_.emplace(request.deadline);
    host_->prepare_scratch();
  }

  // On the thread of its own.
  void run() noexcept {
    ipcs_store* store = nullptr;
    auto error = guarded(subject(), [&](ipcs_status* status) {
      return plugin_->open(host_->abi(), call_->abi(), to_abi(config_), flags_, &store, status);
    });
    if (!error && store == nullptr) error = Error(Code::kInternal, subject() + ": open() succeeded without a store");
    const std::unique_lock lock(mutex_);
    if (abandoned_) {
      if (!error) plugin_->store->close(store);
      return;
    }
    error_ = std::move(error);
    store_ = store;
    done_ = true;
    changed_.notify_one();
  }

  // On the caller's thread.
  Store wait(Call::Clock::time_point deadline, std::chrono::milliseconds grace) {
    std::unique_lock lock(mutex_);
    const auto finished = [&] { return done_; };
    if (deadline == Call::Clock::time_point::max()) {
      changed_.wait(lock, finished);
    } else if (!changed_.wait_until(lock, deadline, finished)) {
      call_->cancel();
      if (!changed_.wait_for(lock, grace, finished)) {
        abandoned_ = true;
        throw Error(Code::kDeadlineExceeded, subject() + ": open() did not come to an end in time; it hangs");
      }
    }
    if (error_) throw *error_;
    return Store(plugin_, store_, host_);
  }

 private:
  std::string subject() const { return std::string("plugin ") + plugin_->name; }

  const ipcs_plugin* const plugin_;
  const std::string config_;
  const uint32_t flags_;
  const std::shared_ptr<HostTable> host_;
  std::optional<Call> call_;

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  bool done_ = false;
  bool abandoned_ = false;
  std::optional<Error> error_;
  ipcs_store* store_ = nullptr;
};

}  // namespace

LoadedPlugin LoadedPlugin::load(const std::string& path) {
  namespace dll = boost::dll;
  try {
    // Boost.DLL hands the bits on to dlopen as they are. Its error_code overloads would hide dlerror's text.
    const auto mode =
        dll::load_mode::rtld_now | dll::load_mode::rtld_local | static_cast<dll::load_mode::type>(RTLD_NODELETE);
    const auto library = std::make_shared<dll::shared_library>(path, mode);
    if (!library->has(IPCS_PLUGIN_SYMBOL))
      throw Error(Code::kFailedPrecondition, path + ": does not export " IPCS_PLUGIN_SYMBOL);
    const auto& plugin = library->get<const ipcs_plugin>(IPCS_PLUGIN_SYMBOL);
    try {
      check_plugin(plugin);
    } catch (const Error& e) {
      throw Error(e.code(), path + ": " + e.what());
    }
    return LoadedPlugin(library, &plugin, path);
  } catch (const Error&) {
    throw;
  } catch (const dll::fs::system_error& e) {
    throw Error(Code::kFailedPrecondition, path + ": cannot be loaded: " + linker_text(e.what(), path));
  } catch (const std::exception& e) {
    throw Error(Code::kFailedPrecondition, path + ": threw an exception while it was loaded: " + one_line(e.what()));
  }
}

void LoadedPlugin::validate(const std::string& config_json, const HostServices& services) const {
  HostTable host(name(), services);
  const auto error = guarded("plugin " + name(), [&](ipcs_status* status) {
    return plugin_->validate(host.abi(), to_abi(config_json), status);
  });
  if (error) throw *error;
}

Store LoadedPlugin::open(OpenRequest request) const {
  const auto deadline = request.deadline;
  const auto grace = request.grace;
  const auto opening = std::make_shared<Opening>(plugin_, std::move(request));
  const CrashNote note(fmt::format("ipcsd: plugin {}: {}: open()", name(), path_));
  std::thread([opening] { opening->run(); }).detach();
  return opening->wait(deadline, grace);
}

}  // namespace ipcs::loader
