// Codecs of blocks, from the multicodec table.
#pragma once

#include <cstdint>

namespace ipcs::ipld {

// Others can stand in a CID; this room reads the blocks of these.
enum class Codec : uint64_t { kRaw = 0x55, kDagPb = 0x70, kDagCbor = 0x71, kLibp2pKey = 0x72 };

}  // namespace ipcs::ipld
