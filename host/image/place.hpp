// Where an image is or goes to, as it is written on a command line.
#pragma once

#include <string>
#include <string_view>

namespace ipcs::image {

enum class PlaceKind { kRegistry, kContainerd, kLayout, kCar, kIpfs };

// Immutable value.
struct Place {
  PlaceKind kind = PlaceKind::kRegistry;
  std::string name;  // reference, name in containerd, directory, file, CID
  std::string tag;   // of a layout; may be empty

  // "containerd:NAME", "oci:DIR[:TAG]", "car:FILE", "ipfs://CID" or a registry's reference, which is completed as
  // containerd's clients do. Throws Error kInvalidArgument.
  static Place parse(std::string_view text);
  std::string to_string() const;
};

}  // namespace ipcs::image
