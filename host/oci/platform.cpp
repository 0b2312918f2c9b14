// Normalising and ranking of platforms.
#include "oci/platform.hpp"

#include <sys/utsname.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "ipcs/error.hpp"
#include "oci/text.hpp"

namespace ipcs::oci {
namespace {

void normalise(std::string& architecture, std::string& variant) {
  if (architecture == "i386") {
    architecture = "386";
    variant.clear();
  } else if (architecture == "x86_64" || architecture == "x86-64" || architecture == "amd64") {
    architecture = "amd64";
    if (variant == "v1") variant.clear();
  } else if (architecture == "aarch64" || architecture == "arm64") {
    architecture = "arm64";
    if (variant == "8" || variant == "v8" || variant == "v8.0") variant.clear();
    if (variant == "9" || variant == "9.0" || variant == "v9.0") variant = "v9";
  } else if (architecture == "armhf" || architecture == "armel") {
    variant = architecture == "armhf" ? "v7" : "v6";
    architecture = "arm";
  } else if (architecture == "arm") {
    if (variant.empty()) variant = "7";
    if (variant.size() == 1 && variant[0] >= '5' && variant[0] <= '8') variant = "v" + variant;
  }
}

std::optional<int> small_number(std::string_view text) {
  if (text.starts_with('v')) text.remove_prefix(1);
  if (text.size() != 1 || text[0] < '0' || text[0] > '9') return std::nullopt;
  return text[0] - '0';
}

using Forms = std::vector<std::pair<std::string, std::string>>;  // architecture and variant, best first

void add_arm(Forms& forms, const std::string& variant) {
  forms.emplace_back("arm", variant);
  const auto version = small_number(variant);
  for (int v = version ? *version - 1 : 0; v >= 5; --v) forms.emplace_back("arm", "v" + std::to_string(v));
}

void add_arm64(Forms& forms, int major, int minor) {
  for (; minor >= 0; --minor) {
    std::string variant = "v" + std::to_string(major) + (minor > 0 ? "." + std::to_string(minor) : "");
    forms.emplace_back("arm64", variant == "v8" ? "" : variant);
  }
}

Forms forms_of(const Platform& machine) {
  const std::string& variant = machine.variant;
  Forms forms;
  if (machine.architecture == "amd64") {
    forms.emplace_back("amd64", variant);
    const auto version = small_number(variant);
    for (int v = version ? *version - 1 : 0; v >= 1; --v)
      forms.emplace_back("amd64", v == 1 ? "" : "v" + std::to_string(v));
    forms.emplace_back("386", "");
  } else if (machine.architecture == "arm") {
    add_arm(forms, variant);
  } else if (machine.architecture == "arm64") {
    // "v9.m" runs what "v8.(m+5)" may contain.
    const std::string shown = variant.empty() ? "v8" : variant;
    const int major = shown.starts_with("v9") ? 9 : 8;
    int minor = 0;
    if (shown.size() == 4 && shown[2] == '.') minor = small_number(shown.substr(3)).value_or(0);
    if (!shown.starts_with("v8") && !shown.starts_with("v9")) return {{"arm64", variant}};
    if (major == 9) add_arm64(forms, 9, minor);
    add_arm64(forms, 8, major == 9 ? std::min(minor + 5, 9) : minor);
    add_arm(forms, "v8");
  } else {
    forms.emplace_back(machine.architecture, variant);
  }
  return forms;
}

std::string text_member(const nlohmann::json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || found->is_null()) return {};
  if (!found->is_string())
    throw Error(Code::kInvalidArgument, std::string("platform: \"") + name + "\" is not a string");
  return found->get<std::string>();
}

bool is_os(std::string_view text) {
  static constexpr std::array kKnown{"linux", "windows", "darwin", "macos", "freebsd", "netbsd", "openbsd", "solaris"};
  return std::find(kKnown.begin(), kKnown.end(), text) != kKnown.end();
}

}  // namespace

Platform Platform::of(std::string_view os, std::string_view architecture, std::string_view variant,
                      std::string_view os_version) {
  Platform platform{lower_case(os), lower_case(architecture), lower_case(variant), std::string(os_version)};
  if (platform.os.empty()) platform.os = "linux";
  if (platform.os == "macos") platform.os = "darwin";
  normalise(platform.architecture, platform.variant);
  return platform;
}

Platform Platform::parse(std::string_view text) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    const bool allowed =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
    if (c == '/') {
      parts.emplace_back();
    } else if (allowed) {
      parts.back() += c;
    } else {
      parts.assign(1, "");
      break;
    }
  }
  const bool empty = std::any_of(parts.begin(), parts.end(), [](const std::string& part) { return part.empty(); });
  if (empty || parts.size() > 3) {
    throw Error(Code::kInvalidArgument,
                "\"" + one_line(text) + "\" is not a platform (want e.g. linux/arm64 or linux/arm/v7)");
  }
  if (parts.size() == 1) {
    const std::string part = lower_case(parts[0]);
    return is_os(part) ? of(part, current().architecture, current().variant) : of(current().os, part);
  }
  return of(parts[0], parts[1], parts.size() == 3 ? parts[2] : "");
}

Platform Platform::from_json(const nlohmann::json& object) {
  if (!object.is_object()) throw Error(Code::kInvalidArgument, "platform: not an object");
  return of(text_member(object, "os"), text_member(object, "architecture"), text_member(object, "variant"),
            text_member(object, "os.version"));
}

const Platform& Platform::current() {
  static const Platform kCurrent = [] {
    utsname name{};
    ::uname(&name);
    const std::string machine = name.machine;
    if (machine.starts_with("armv") && machine.size() > 4) return of("linux", "arm", std::string(1, machine[4]));
    if (machine.size() == 4 && machine[0] == 'i' && machine.ends_with("86")) return of("linux", "386");
    return of("linux", machine);
  }();
  return kCurrent;
}

std::string Platform::to_string() const {
  return os + "/" + architecture + (variant.empty() ? "" : "/" + variant);
}

std::optional<size_t> rank(const Platform& machine, const Platform& image) {
  if (machine.os != image.os) return std::nullopt;
  if (!machine.os_version.empty() && machine.os_version != image.os_version) return std::nullopt;
  const Forms forms = forms_of(machine);
  const auto found = std::find(forms.begin(), forms.end(), std::pair(image.architecture, image.variant));
  if (found == forms.end()) return std::nullopt;
  return static_cast<size_t>(found - forms.begin());
}

}  // namespace ipcs::oci
