// Reads the process's environment.
#include "config/environment.hpp"

#include <pwd.h>
#include <unistd.h>

#include <filesystem>
#include <vector>

extern char** environ;

namespace ipcs::config {
namespace {

std::string home_of(uid_t uid) {
  std::vector<char> buffer(16384);
  passwd record{};
  passwd* found = nullptr;
  if (::getpwuid_r(uid, &record, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) return {};
  return found->pw_dir;
}

}  // namespace

Environment Environment::of_process() {
  Environment environment;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const size_t equals = text.find('=');
    if (equals == std::string_view::npos) continue;
    environment.variables.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  environment.euid = ::geteuid();
  environment.home = environment.directory("HOME", "");
  if (environment.home.empty()) environment.home = home_of(environment.euid);
  std::error_code ignored;  // an unknown place is an empty string, and who needs it says so
  environment.working_dir = std::filesystem::current_path(ignored).string();
  environment.executable = std::filesystem::read_symlink("/proc/self/exe", ignored).string();
  return environment;
}

std::string Environment::get(std::string_view name) const {
  const auto found = variables.find(name);
  return found == variables.end() ? std::string() : found->second;
}

std::string Environment::directory(std::string_view name, const std::string& fallback) const {
  const std::string value = get(name);
  return value.starts_with('/') ? value : fallback;
}

}  // namespace ipcs::config
