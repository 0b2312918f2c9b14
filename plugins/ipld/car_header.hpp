// The header of a CARv1: a DAG-CBOR map of roots and version. For car.cpp alone.
#pragma once

#include "ipld/cid.hpp"

namespace ipcs::ipld {

Bytes encode_car_header(std::span<const Cid> roots);

// Takes the two keys in either order; numbers as short as can be. Throws Error kInvalidArgument for anything else; a
// CARv2 is named as such.
std::vector<Cid> decode_car_header(BytesView header);

}  // namespace ipcs::ipld
