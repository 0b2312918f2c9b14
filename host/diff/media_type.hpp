// Which descriptors name a layer, and whether its bytes are compressed.
#pragma once

#include <optional>
#include <string_view>

namespace ipcs::diff {

// True when gzip and zstd are to be looked for, false when the bytes are the archive as they are; nothing for what is
// no layer, or one in a form that is not known here, such as an encrypted one.
std::optional<bool> may_be_compressed(std::string_view media_type);

}  // namespace ipcs::diff
