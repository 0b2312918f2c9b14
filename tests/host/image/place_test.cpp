// Places as they are written, and CIDs of p2p digests.
#include "image/place.hpp"

#include <catch2/catch.hpp>

#include "image/p2p.hpp"
#include "ipcs/error.hpp"

using namespace ipcs;
using namespace ipcs::image;

TEST_CASE("places") {
  struct Row {
    const char* text;
    PlaceKind kind;
    const char* name;
    const char* tag;
    const char* shown;
  };
  const Row row = GENERATE(values<Row>({
      {"alpine", PlaceKind::kRegistry, "docker.io/library/alpine:latest", "", "docker.io/library/alpine:latest"},
      {"localhost:5000/a/b:c", PlaceKind::kRegistry, "localhost:5000/a/b:c", "", "localhost:5000/a/b:c"},
      {"containerd:any/name:1", PlaceKind::kContainerd, "any/name:1", "", "containerd:any/name:1"},
      {"oci:/some/dir", PlaceKind::kLayout, "/some/dir", "", "oci:/some/dir"},
      {"oci:dir:v1", PlaceKind::kLayout, "dir", "v1", "oci:dir:v1"},
      {"oci:with:colon/dir", PlaceKind::kLayout, "with:colon/dir", "", "oci:with:colon/dir"},
      {"car:a:b.car", PlaceKind::kCar, "a:b.car", "", "car:a:b.car"},
      {"ipfs://bafy", PlaceKind::kIpfs, "bafy", "", "ipfs://bafy"},
  }));
  const Place place = Place::parse(row.text);
  CHECK(place.kind == row.kind);
  CHECK(place.name == row.name);
  CHECK(place.tag == row.tag);
  CHECK(place.to_string() == row.shown);
}

TEST_CASE("no places") {
  const char* text =
      GENERATE("containerd:", "oci:", "oci::tag", "car:", "ipfs://", "ipfs://a/b", "ipfs://a b", "", "UPPER");
  CHECK_THROWS_AS(Place::parse(text), Error);
}

TEST_CASE("the CID of a p2p digest") {
  CHECK(root_cid(oci::Digest::of("foobar")) ==
        "f01701220c3ab8ff13720e8ad9047dd39466b3c8974e592c2fa383d4a3960714caef0c4f2");
  CHECK_THROWS_AS(root_cid(oci::Digest::of("foobar", oci::Algorithm::kSha512)), Error);
}
