// Descriptors, manifests and configs: what is read, what is refused, and that rewriting leaves the rest byte for byte.
#include "oci/manifest.hpp"

#include <catch2/catch.hpp>

#include "host/oci/sample.hpp"
#include "oci/json_text.hpp"

using namespace ipcs::oci;
using namespace ipcs::oci::test;
using ipcs::Code;

namespace {

const std::string kA = "sha256:" + std::string(64, 'a');
const std::string kB = "sha256:" + std::string(64, 'b');

std::string descriptor(const std::string& more = "", const std::string& type = std::string(kOciLayerGzip)) {
  return R"({"mediaType":")" + type + R"(","digest":")" + kA + R"(","size":7)" + more + "}";
}

std::string refusal(const std::string& text, std::string_view type = kOciManifest) {
  std::string message;
  CHECK(failure([&] { Manifest::parse(text, type, "thing"); }, &message) == Code::kInvalidArgument);
  CHECK_THAT(message, Catch::StartsWith("thing: "));
  CHECK(message.find('\n') == std::string::npos);
  CHECK(message.size() < 400);
  return message;
}

std::string bad_descriptor(const std::string& text) {
  std::string message;
  CHECK(failure([&] { Descriptor::parse(text, "thing"); }, &message) == Code::kInvalidArgument);
  return message;
}

}  // namespace

TEST_CASE("a descriptor's members") {
  const Descriptor d = Descriptor::parse(
      descriptor(
          R"(,"urls":["https://a/b","ipfs://c"],"annotations":{"k":"v","é":"ü"},"artifactType":"x/y","platform":{"architecture":"arm64","os":"linux","variant":"v8"},"data":"eA==")"),
      "d");
  CHECK(d.media_type() == kOciLayerGzip);
  CHECK(d.digest().to_string() == kA);
  CHECK(d.size() == 7);
  CHECK(d.urls() == std::vector<std::string>{"https://a/b", "ipfs://c"});
  CHECK(d.annotations().at("é") == "ü");
  CHECK(d.artifact_type() == "x/y");
  CHECK(d.platform()->to_string() == "linux/arm64");
  CHECK(Descriptor(std::string(kOciLayer), Digest::of("x"), 1) ==
        Descriptor::parse(Descriptor(std::string(kOciLayer), Digest::of("x"), 1).text(), "d"));
}

TEST_CASE("what is no descriptor") {
  for (const std::string& text :
       {std::string("[]"), std::string("7"), std::string("{}"), std::string(R"({"mediaType":"a/b","size":1})"),
        std::string(R"({"mediaType":"a/b","digest":"sha256:A","size":1})"),
        R"({"mediaType":1,"digest":")" + kA + R"(","size":1})", R"({"digest":")" + kA + R"(","size":1})",
        R"({"mediaType":"a/b","digest":")" + kA + R"("})", R"({"mediaType":"a\nb","digest":")" + kA + R"(","size":1})",
        descriptor(R"(,"urls":"x")"), descriptor(R"(,"urls":[1])"), descriptor(R"(,"annotations":[])"),
        descriptor(R"(,"annotations":{"a":1})"), descriptor(R"(,"platform":[])"), descriptor(R"(,"size":8)"),
        descriptor(R"(,"artifactType":{})"), std::string("")}) {
    INFO(text);
    bad_descriptor(text);
  }
  for (const std::string size : {"-1", "1.5", "\"1\"", "null", "9223372036854775808", "1e3", "[]"}) {
    INFO(size);
    CHECK_THAT(bad_descriptor(R"({"mediaType":"a/b","digest":")" + kA + R"(","size":)" + size + "}"),
               Catch::Contains("size of"));
  }
}

TEST_CASE("changing a descriptor keeps what is not known, byte for byte") {
  const std::string odd = "{ \"x\" : 1.0e+02,\t\"mediaType\":\"" + std::string(kOciLayerGzip) +
                          "\", \"big\":123456789012345678901234567890, \"digest\" : \"" + kA +
                          "\" ,\"esc\":\"\\u0041\\/\",\n\"size\": 7,\"nested\":{\"size\":  3,\"digest\":[ ]} }";
  const Descriptor d = Descriptor::parse(odd, "d");
  const auto replaced = [&](std::string text, const std::string& from, const std::string& to) {
    return text.replace(text.find(from), from.size(), to);
  };
  CHECK(d.text() == odd);
  CHECK(d.with_content(Digest::parse(kB), 99).text() == replaced(replaced(odd, kA, kB), "\"size\": 7", "\"size\": 99"));
  CHECK(d.with_media_type(kOciLayer).text() == replaced(odd, std::string(kOciLayerGzip), std::string(kOciLayer)));
  CHECK(d.with_urls({"ipfs://x"}).text() == replaced(odd, "[ ]}", "[ ]},\"urls\":[\"ipfs://x\"]"));
  const Descriptor noted = d.with_annotation("a\"b", "c\n");
  CHECK(noted.annotations().at("a\"b") == "c\n");
  CHECK(noted.with_annotation("second", "2").annotations().size() == 2);
  CHECK(noted.with_annotation("a\"b", "new").annotations().at("a\"b") == "new");
  CHECK(d.with_urls({"a"}).with_urls({"b"}).urls() == std::vector<std::string>{"b"});
}

TEST_CASE("manifests and indexes") {
  const std::string config = descriptor("", std::string(kOciConfig));
  const std::string text = R"({"schemaVersion":2,"config":)" + config + R"(,"layers":[)" + descriptor() + "," +
                           descriptor() + R"(],"subject":)" + descriptor() + "}";
  const Manifest manifest = Manifest::parse(text, kOciManifest, "m");
  CHECK_FALSE(manifest.is_index());
  REQUIRE(manifest.children().size() == 3);
  CHECK(manifest.children()[0].role == Role::kConfig);
  CHECK(manifest.children()[2].role == Role::kLayer);
  CHECK(manifest.descriptor().digest() == Digest::of(text));
  CHECK(manifest.descriptor().size() == text.size());
  CHECK(Manifest::parse(text, kDockerManifest, "m").media_type() == kDockerManifest);
  for (const std::string vague : {"", "application/json", "text/plain", "application/octet-stream"}) {
    CHECK(Manifest::parse(text, vague, "m").media_type() == kOciManifest);
  }

  const std::string list =
      R"({"schemaVersion":2,"mediaType":")" + std::string(kDockerIndex) + R"(","manifests":[)" + descriptor() + "]}";
  CHECK(Manifest::parse(list, "", "m").media_type() == kDockerIndex);
  CHECK(Manifest::parse(list, kDockerIndex, "m").is_index());
  CHECK(Manifest::parse(list, kDockerIndex, "m").children()[0].role == Role::kManifest);

  // An artifact: a manifest of its own type whose config is empty.
  const std::string artifact = R"({"schemaVersion":2,"artifactType":"x/y","config":)" +
                               descriptor("", "application/vnd.oci.empty.v1+json") + R"(,"layers":[]})";
  CHECK(Manifest::parse(artifact, kOciManifest, "m").artifact_type() == "x/y");
}

TEST_CASE("what is no manifest") {
  const std::string config = R"("config":)" + descriptor("", std::string(kOciConfig));
  const std::string layers = R"("layers":[)" + descriptor() + "]";
  const std::string index = R"("manifests":[)" + descriptor() + "]";
  const std::string two = R"("schemaVersion":2,)";
  CHECK_THAT(refusal("{" + two + config + "," + layers + "," + index + "}"),
             Catch::Contains("both an index and a manifest"));
  CHECK_THAT(refusal("{" + two + config + "," + layers + R"(,"fsLayers":[]})"), Catch::Contains("schema 1"));
  CHECK_THAT(refusal(R"({"schemaVersion":1,"fsLayers":[],"history":[]})",
                     "application/vnd.docker.distribution.manifest.v1+prettyjws"),
             Catch::Contains("schema 1"));
  CHECK_THAT(refusal("{" + two + config + "," + layers + "}", kOciIndex), Catch::Contains("made like"));
  CHECK_THAT(refusal("{" + two + index + "}", kOciManifest), Catch::Contains("made like"));
  CHECK_THAT(refusal("{" + two + config + "," + layers + R"(,"mediaType":")" + std::string(kDockerManifest) + "\"}"),
             Catch::Contains("it calls itself"));
  CHECK_THAT(refusal("{" + two + config + "," + layers + "}", "application/vnd.other"),
             Catch::Contains("which is neither"));
  CHECK_THAT(refusal("{" + two + layers + "}"), Catch::Contains("no \"config\""));
  CHECK_THAT(refusal("{" + two + config + "}"), Catch::Contains("\"layers\" is not an array"));
  CHECK_THAT(refusal("{" + config + "," + layers + "}"), Catch::Contains("schemaVersion"));
  CHECK_THAT(refusal(R"({"schemaVersion":"2",)" + config + "," + layers + "}"), Catch::Contains("schemaVersion"));
  CHECK_THAT(refusal("{" + two + config + "," + config + "," + layers + "}"), Catch::Contains("twice"));
  CHECK_THAT(refusal("{" + two + config + R"(,"layers":[7]})"), Catch::Contains("descriptor is not an object"));
  CHECK_THAT(refusal("{" + two + config + "," + layers + R"(,"mediaType":7})"), Catch::Contains("not a string"));
  for (const std::string junk : {"", "{", "[]", "null", "\"x\"", "{}}", "{\"a\":}", "\xff", "{\"a\":1,}", "<html>",
                                 "{\"a\" 1}", "{\"a\":\"\x01\"}"}) {
    INFO(junk);
    refusal(junk);
  }
  CHECK_THAT(refusal("{\"a\":" + std::string(100'000, '[') + std::string(100'000, ']') + "}"),
             Catch::Contains("64 levels"));
  std::string many = "{" + two + R"("manifests":[)" + descriptor();
  for (int i = 0; i < 10'000; ++i) many += "," + descriptor();
  CHECK_THAT(refusal(many + "]}", kOciIndex), Catch::Contains("more than 10000 entries"));
  std::string numbers = "{\"a\":[1";
  for (int i = 0; i < 300'000; ++i) numbers += ",1";
  CHECK_THAT(refusal(numbers + "]}"), Catch::Contains("values"));
  CHECK_THAT(refusal(std::string(kMaxManifest + 1, ' ')), Catch::Contains("larger than"));
}

TEST_CASE("rewriting a manifest changes the named children only") {
  const std::string first = descriptor(R"( , "x":1.50)"), second = descriptor();
  const std::string text = "{ \"schemaVersion\" : 2,\n \"unknown\": [1.0, \"\\u00e9\", 1e400],\n\"config\":" +
                           descriptor("", std::string(kOciConfig)) + ", \"layers\": [ " + first + " ,\n" + second +
                           "], \"z\":{\"layers\":[]}}";
  const Manifest manifest =
      Manifest::parse(R"({"schemaVersion":2,"config":)" + descriptor() + R"(,"layers":[]})", kOciManifest, "m");
  CHECK(manifest.rewritten(std::vector<std::optional<Descriptor>>(1)) == manifest.bytes());

  // A number beyond every type is refused by the JSON reader; all others stay as they are.
  CHECK_THAT(refusal(text), Catch::Contains("not JSON"));
  const std::string usable = std::string(text).replace(text.find("1e400"), 5, "1E+04");
  const Manifest m = Manifest::parse(usable, kOciManifest, "m");
  std::vector<std::optional<Descriptor>> changed(3);
  CHECK(m.rewritten(changed) == usable);
  changed[1] = m.children()[1].descriptor.with_content(Digest::parse(kB), 8);
  const std::string new_first = changed[1]->text();
  CHECK(m.rewritten(changed) == std::string(usable).replace(usable.find(first), first.size(), new_first));
  CHECK(m.rewritten(changed, kOciManifest) == std::string(usable)
                                                  .replace(usable.find(first), first.size(), new_first)
                                                  .replace(usable.size() - first.size() + new_first.size() - 1, 1,
                                                           ",\"mediaType\":\"" + std::string(kOciManifest) + "\"}"));
  CHECK(failure([&] { m.rewritten({}); }) == Code::kInternal);
}

TEST_CASE("an image's config") {
  const ImageConfig config = ImageConfig::parse(
      R"({"architecture":"arm","variant":"v6","os":"linux","rootfs":{"type":"layers","diff_ids":[")" + kA + "\",\"" +
          kB + R"("]},"config":{"Env":null}})",
      "c");
  CHECK(config.platform.to_string() == "linux/arm/v6");
  REQUIRE(config.diff_ids.size() == 2);
  CHECK(config.diff_ids[1].to_string() == kB);
  CHECK(ImageConfig::parse("{}", "c").diff_ids.empty());
  for (const std::string bad : {"[]", "", R"({"rootfs":[]})", R"({"rootfs":{"diff_ids":{}}})",
                                R"({"rootfs":{"diff_ids":["x"]}})", R"({"rootfs":{"diff_ids":[1]}})", R"({"os":1})"}) {
    INFO(bad);
    CHECK(failure([&] { ImageConfig::parse(bad, "c"); }) == Code::kInvalidArgument);
  }
}

TEST_CASE("media types") {
  CHECK(compression_of(kOciLayer) == Compression::kNone);
  CHECK(compression_of(kOciLayerGzip) == Compression::kGzip);
  CHECK(compression_of(kOciLayerZstd) == Compression::kZstd);
  CHECK(compression_of(kDockerLayerGzip) == Compression::kGzip);
  CHECK(compression_of(kDockerLayerZstd) == Compression::kZstd);
  CHECK(compression_of(std::string(kDockerForeignPrefix) + ".gzip") == Compression::kGzip);
  CHECK(compression_of(std::string(kOciForeignPrefix) + "+zstd") == Compression::kZstd);
  CHECK(compression_of(kOciConfig) == Compression::kUnknown);
  CHECK(is_foreign_layer(std::string(kOciForeignPrefix) + "+gzip"));
  CHECK_FALSE(is_foreign_layer(kOciLayerGzip));
}
