// The 512 bytes that stand before each file of an archive: old, ustar, star and GNU.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "diff/tar_entry.hpp"
#include "ipcs/error.hpp"

namespace ipcs::diff {

inline constexpr size_t kTarBlock = 512;
using TarBlock = std::array<uint8_t, kTarBlock>;

enum class TarFormat { kOld, kUstar, kStar, kGnu };

// An error about the archive itself: kInvalidArgument.
[[noreturn]] void bad_archive(const std::string& what);

// A number in octal digits or, where the first bit is set, in base 256. Throws Error kInvalidArgument.
int64_t parse_number(std::span<const uint8_t> field);
// Up to the first NUL.
std::string parse_text(std::span<const uint8_t> field);
// A decimal number with an optional sign. Throws Error kInvalidArgument naming `what`.
int64_t parse_decimal(std::string_view text, const char* what);

// The format of a block whose checksum (of signed or unsigned bytes) is right. Throws Error kInvalidArgument.
TarFormat format_of(const TarBlock& block);
// What the block says, extensions aside. Throws Error kInvalidArgument.
TarEntry parse_header(const TarBlock& block);

}  // namespace ipcs::diff
