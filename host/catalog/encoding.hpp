// How digests and labels are written in the catalog's columns.
#pragma once

#include <string>
#include <string_view>

#include "catalog/catalog.hpp"

namespace ipcs::catalog {

// A digest as a key: one byte, the number of hash bytes (32, 48, 64), and those bytes. Half the size of the text, and
// keys compare as the texts do.
std::string digest_key(const Digest& digest);
// The reverse. Throws Error kDataLoss when `key` is none.
Digest digest_of_key(std::string_view key);

// Labels in the order of their keys: for each key and then its value, the length as a little-endian 32-bit number and
// the bytes.
std::string encode_labels(const Labels& labels);
// The reverse. Throws Error kDataLoss when `bytes` are not exactly that.
Labels decode_labels(std::string_view bytes);

}  // namespace ipcs::catalog
