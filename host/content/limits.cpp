// Limits with their numbers in the message.
#include "content/limits.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "content/content.hpp"

namespace ipcs::content {
namespace {

constexpr size_t kFraming = 16;  // bytes around a key and a value

}  // namespace

void check_ref(const std::string& ref) {
  if (ref.empty()) throw Error(Code::kInvalidArgument, "the ref of an ingest must not be empty");
  if (ref.size() > kMaxRef)
    throw Error(Code::kInvalidArgument, fmt::format("ref \"{}\": it has {} bytes, {} are accepted", printable(ref),
                                                    ref.size(), kMaxRef));
}

void check_owner(const std::string& owner) {
  if (owner.size() > kMaxOwner || !std::all_of(owner.begin(), owner.end(), [](char c) { return c >= ' ' && c <= '~'; }))
    throw Error(Code::kInvalidArgument, fmt::format("owner \"{}\" of a pin: up to {} characters of printable ASCII are "
                                                    "accepted", printable(owner), kMaxOwner));
}

void check_labels(const catalog::Labels& labels) {
  for (const auto& [key, value] : labels) {
    if (key.size() + value.size() > kMaxLabel)
      throw Error(Code::kInvalidArgument, fmt::format("label \"{}\": key and value have {} bytes, {} are accepted",
                                                      printable(key), key.size() + value.size(), kMaxLabel));
  }
  if (const size_t total = size_of(labels); total > kMaxLabels)
    throw Error(Code::kInvalidArgument, fmt::format("the blob's labels would have {} bytes, {} are accepted", total, kMaxLabels));
}

size_t size_of(const catalog::Labels& labels) noexcept {
  size_t total = 0;
  for (const auto& [key, value] : labels) total += key.size() + value.size() + kFraming;
  return total;
}

}  // namespace ipcs::content
