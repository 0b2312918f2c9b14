// Fuzzes manifests: rewriting with nothing changed gives the same bytes, with a child changed a manifest that has it.
#include <cstdlib>
#include <string>

#include "ipcs/error.hpp"
#include "oci/manifest.hpp"

namespace {

using namespace ipcs::oci;

void require(bool condition) {
  if (!condition) std::abort();
}

void config(const std::string& bytes) {
  try {
    ImageConfig::parse(bytes, "config");
  } catch (const ipcs::Error& error) {
    require(error.code() == ipcs::Code::kInvalidArgument);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  config(bytes);
  try {
    const Manifest manifest = Manifest::parse(bytes, "", "thing");
    require(manifest.bytes() == bytes);
    std::vector<std::optional<Descriptor>> changed(manifest.children().size());
    require(manifest.rewritten(changed) == bytes);
    if (changed.empty()) return 0;
    const size_t which = size % changed.size();
    const Descriptor before = manifest.children()[which].descriptor;
    changed[which] = before.with_content(Digest::of("x"), 12345).with_urls({"ipfs://x"}).with_annotation("k", "v");
    const Manifest after = Manifest::parse(manifest.rewritten(changed), manifest.media_type(), "thing");
    const Descriptor& now = after.children()[which].descriptor;
    require(now.digest() == Digest::of("x") && now.size() == 12345 && now.media_type() == before.media_type());
    require(now.urls() == std::vector<std::string>{"ipfs://x"} && now.annotations().at("k") == "v");
    for (size_t i = 0; i < changed.size(); ++i) {
      if (i != which) require(after.children()[i].descriptor.text() == manifest.children()[i].descriptor.text());
    }
  } catch (const ipcs::Error& error) {
    const std::string_view message = error.what();
    require(error.code() == ipcs::Code::kInvalidArgument);
    require(message.size() < 600 && message.find('\n') == std::string_view::npos);
  }
  return 0;
}
