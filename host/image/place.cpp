// Reading the written forms.
#include "image/place.hpp"

#include <algorithm>

#include "ipcs/error.hpp"
#include "oci/reference.hpp"

namespace ipcs::image {
namespace {

bool take(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

}  // namespace

Place Place::parse(std::string_view text) {
  std::string_view rest = text;
  const auto place = [&](PlaceKind kind, std::string_view name, std::string_view tag = {}) {
    if (name.empty())
      throw Error(Code::kInvalidArgument, "\"" + std::string(text) + "\": nothing is named behind the colon");
    return Place{kind, std::string(name), std::string(tag)};
  };
  if (take(rest, "containerd:")) return place(PlaceKind::kContainerd, rest);
  if (take(rest, "car:")) return place(PlaceKind::kCar, rest);
  if (take(rest, "ipfs://")) {
    const bool plain = std::all_of(rest.begin(), rest.end(), [](char c) { return c > ' ' && c < 127 && c != '/'; });
    if (!plain) throw Error(Code::kInvalidArgument, "\"" + std::string(text) + "\": wants ipfs://CID");
    return place(PlaceKind::kIpfs, rest);
  }
  if (take(rest, "oci:")) {
    // A tag has no slash: a colon before one belongs to the directory.
    const size_t colon = rest.rfind(':');
    if (colon == std::string_view::npos || rest.find('/', colon) != std::string_view::npos)
      return place(PlaceKind::kLayout, rest);
    return place(PlaceKind::kLayout, rest.substr(0, colon), rest.substr(colon + 1));
  }
  return place(PlaceKind::kRegistry, oci::Reference::parse(text).to_string());
}

std::string Place::to_string() const {
  switch (kind) {
    case PlaceKind::kContainerd:
      return "containerd:" + name;
    case PlaceKind::kLayout:
      return "oci:" + name + (tag.empty() ? "" : ":" + tag);
    case PlaceKind::kCar:
      return "car:" + name;
    case PlaceKind::kIpfs:
      return "ipfs://" + name;
    case PlaceKind::kRegistry:
      break;
  }
  return name;
}

}  // namespace ipcs::image
