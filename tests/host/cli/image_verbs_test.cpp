// What `ipcsctl image` shows of work on one large blob.
#include <regex>

#include "fixture.hpp"
#include "host/image/dag_store.hpp"
#include "host/oci/sample.hpp"
#include "oci/image.hpp"
#include "oci/layout.hpp"
#include "oci/media_type.hpp"

namespace ipcs::test {
namespace {

TEST_CASE("the bar of a blob moves while the backend makes a DAG of it") {
  Node node;
  oci::test::Memory source;
  const auto layer = source.add(oci::kOciLayer, std::string(8000, 'l'));
  const auto image = source.add(oci::kOciManifest, oci::test::manifest_text(source.add(oci::kOciConfig, "{}"), {layer}));
  auto layout = oci::Layout::create(node.world.dir / "image");
  oci::copy(source, image, layout, "v1", {}, node.call);
  node.world.memory->set_on_call([&](const char* function, const plugin::Call& call) {
    if (function != "adopt_blob " + layer.digest().to_string()) return;
    for (uint64_t done = 1000; done <= 9000; done += 1000) {  // one step beyond the end
      Call::report(call.abi(), "", done, 1'000'000);
      std::this_thread::sleep_for(250ms);
    }
  });
  const std::string seen = seen_on_terminal(
      node.world.dir,
      {"-a", node.control, "image", "convert", "oci:" + node.world.dir / "image:v1", "oci:" + node.world.dir / "made", "--digests", "oci"},
      "xterm");
  node.world.memory->set_on_call({});
  INFO(seen);
  // "local sha256:0123456789a… [====>     ]  37% 3kB/8kB …"
  const std::regex bar("local " + layer.digest().to_string().substr(0, 18) + "\\S* \\[[=> ]*\\] +([0-9]+)% ([0-9]k?B)/8kB");
  std::vector<int> shown;
  for (std::sregex_iterator found(seen.begin(), seen.end(), bar), end; found != end; ++found)
    shown.push_back(std::stoi((*found)[1]));
  REQUIRE_FALSE(shown.empty());
  CHECK(std::is_sorted(shown.begin(), shown.end()));
  CHECK(std::set<int>(shown.begin(), shown.end()).size() >= 4);
  CHECK_THAT(seen, Catch::Contains("convert "));
}

TEST_CASE("a chunker that there is not is refused before anybody is asked") {
  TempDir dir;
  const std::pair<const char*, const char*> wrong[] = {
      {"nonsense", "chunker \"nonsense\": unknown"},
      {"size-0", "chunker \"size-0\": the size is from 1 to "},
      {"zstd-frames", "chunker \"zstd-frames\": is for layers that tar makes"}};
  for (const auto& [name, why] : wrong) {
    for (const char* digests : {"oci", "p2p"}) {
      check_failed(Run(dir, {"-a", dir / "nobody.sock", "image", "convert", "containerd:a", "containerd:b", "--digests", digests,
                             "--chunker", name}).wait(), 2, why);
    }
  }
}

}  // namespace
}  // namespace ipcs::test
