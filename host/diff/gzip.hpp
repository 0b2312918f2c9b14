// gzip by ISA-L, which is two to three times as fast as zlib, or by zlib where it is absent.
#pragma once

#include <memory>

#include "diff/decompressor.hpp"

namespace ipcs::diff {

std::unique_ptr<Decompressor> make_gzip(ByteSource& source);

// "ISA-L" or "zlib".
const char* gzip_library();

}  // namespace ipcs::diff
