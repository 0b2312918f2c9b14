// Fuzzes CIDs, multibase and multihashes in text and bytes: what is read is written the same.
#include <cstdlib>

#include "ipcs/error.hpp"
#include "ipld/cid.hpp"

namespace {

using namespace ipcs::ipld;

void require(bool condition) {
  if (!condition) std::abort();
}

void check_message(const ipcs::Error& error) {
  require(error.code() == ipcs::Code::kInvalidArgument);
  require(std::string_view(error.what()).size() < 400);
  for (const char c : std::string_view(error.what())) require(c >= ' ' && c < 127);
}

void text(std::string_view text) {
  const auto cid = Cid::try_parse(text);
  try {
    require(Cid::parse(text) == cid);
  } catch (const ipcs::Error& error) {
    require(!cid);
    check_message(error);
  }
  if (cid) {
    for (const Base base : {Base::kBase58Btc, Base::kBase32, Base::kBase36, Base::kBase16})
      require(Cid::parse(cid->to_string(base)) == *cid);
    require(std::hash<Cid>{}(*cid) == std::hash<Cid>{}(Cid::parse(cid->to_string())));
  }
  try {
    const Bytes bytes = decode_multibase(text);
    if (text[0] >= 'a') require(encode_multibase(static_cast<Base>(text[0]), bytes) == text);
  } catch (const ipcs::Error& error) {
    check_message(error);
  }
}

void binary(BytesView bytes) {
  try {
    BytesView rest = bytes;
    const Cid cid = Cid::take(rest);
    const Bytes written = cid.bytes();
    require(written.size() == cid.byte_size());
    require(
        std::equal(written.begin(), written.end(), bytes.begin(), bytes.end() - static_cast<ptrdiff_t>(rest.size())));
    require(Cid::from_bytes(written) == cid);
  } catch (const ipcs::Error& error) {
    check_message(error);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const BytesView bytes(data, size);
  text(as_text(bytes));
  binary(bytes);
  return 0;
}
