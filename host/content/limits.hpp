// How much a client may have recorded: what it lists must fit into answers of 16 MiB.
#pragma once

#include <cstddef>
#include <string>

#include "catalog/catalog.hpp"

namespace ipcs::content {

inline constexpr size_t kMaxRef = 33 << 10;        // bytes: the longest that containerd can record, with its namespace
inline constexpr size_t kMaxOwner = 256;           // bytes of the name of a pin's owner
inline constexpr size_t kMaxLabel = 4096;          // bytes of key and value, as in containerd
inline constexpr size_t kMaxLabels = 1 << 20;      // bytes of all labels that a client has given a blob
inline constexpr size_t kListingBytes = 4 << 20;   // a page of a listing ends with the blob that exceeds it
inline constexpr size_t kStatusesBytes = 12 << 20; // of a list of ingests

// Throws Error kInvalidArgument when the ref is empty or too long.
void check_ref(const std::string& ref);

// Throws Error kInvalidArgument when the name of a pin's owner is too long or not printable ASCII.
void check_owner(const std::string& owner);

// Throws Error kInvalidArgument when a label or all of them together are too long.
void check_labels(const catalog::Labels& labels);

// About the bytes that they take in an answer.
size_t size_of(const catalog::Labels& labels) noexcept;

}  // namespace ipcs::content
