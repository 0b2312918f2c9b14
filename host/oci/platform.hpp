// Platforms of images: written forms, and which image a machine takes, as containerd decides it.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ipcs::oci {

// A platform in its normalised form ("amd64" for x86_64, no variant for arm64 v8, "v7" for plain arm).
struct Platform {
  std::string os;
  std::string architecture;
  std::string variant;
  std::string os_version;

  // Makes the normalised form of what an image or an operator says; empty `os` is linux.
  static Platform of(std::string_view os, std::string_view architecture, std::string_view variant = {},
                     std::string_view os_version = {});
  // "linux/arm64", "linux/arm/v7", or an architecture or operating system alone. Throws Error kInvalidArgument.
  static Platform parse(std::string_view text);
  // From the members of a descriptor's "platform" or of a config. Throws Error kInvalidArgument for wrong types.
  static Platform from_json(const nlohmann::json& object);
  // That of this machine.
  static const Platform& current();

  std::string to_string() const;

  friend bool operator==(const Platform&, const Platform&) = default;
};

// How well a machine of platform `machine` runs an image of `image`: 0 is best, nothing is not at all. A machine runs
// older variants and its 32-bit forms too: arm64 after itself arm v8 … v5; arm v7 also v6 and v5; amd64 also 386.
std::optional<size_t> rank(const Platform& machine, const Platform& image);

// Which images of an index are meant.
struct PlatformChoice {
  bool all = false;
  std::vector<Platform> wanted;  // the best image for each; used when `all` is false

  static PlatformChoice everything() { return {true, {}}; }
  static PlatformChoice current() { return {false, {Platform::current()}}; }
};

}  // namespace ipcs::oci
