// Names of archives as paths, and the media types of layers.
#include "diff/path.hpp"

#include <catch2/catch.hpp>

#include "diff/media_type.hpp"

using namespace ipcs::diff;

TEST_CASE("no name leads out of the root") {
  CHECK(clean_path("/a//b/../c/") == "a/c");
  CHECK(clean_path("../../etc/passwd") == "etc/passwd");
  CHECK(clean_path("a/../../b") == "b");
  CHECK(clean_path("./././") == "");
  CHECK(clean_path("") == "");
  CHECK(clean_path("..") == "");
  CHECK(clean_path("...") == "...");
  CHECK(clean_path("a/b/../../..") == "");
}

TEST_CASE("paths fall apart and come together") {
  CHECK(split_path("a/b/c").parent == "a/b");
  CHECK(split_path("a/b/c").base == "c");
  CHECK(split_path("c").parent == "");
  CHECK(split_path("c").base == "c");
  CHECK(join_path("", "c") == "c");
  CHECK(join_path("a/b", "c") == "a/b/c");
}

TEST_CASE("a name in a message is one line") {
  CHECK(shown("etc/hosts") == "etc/hosts");
  CHECK(shown("new\nline\x7f") == "new?line?");
  CHECK(shown(std::string(5000, 'n')) == std::string(200, 'n'));
}

TEST_CASE("which media types are layers") {
  CHECK(may_be_compressed("application/vnd.oci.image.layer.v1.tar") == false);
  CHECK(may_be_compressed("application/vnd.oci.image.layer.v1.tar+gzip") == true);
  CHECK(may_be_compressed("application/vnd.oci.image.layer.v1.tar+zstd") == true);
  CHECK(may_be_compressed("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip") == true);
  CHECK(may_be_compressed("application/vnd.docker.image.rootfs.diff.tar") == true);
  CHECK(may_be_compressed("application/vnd.docker.image.rootfs.diff.tar.gzip") == true);
  CHECK(may_be_compressed("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip") == true);
  for (const char* other : {"", "application/vnd.oci.image.layer.v1.tar+gzip+encrypted", "application/vnd.oci.image.layer.v1.tarx",
                            "application/vnd.oci.image.layer.v1.tar+xz", "application/vnd.docker.image.rootfs.diff.tar+gzip",
                            "application/vnd.oci.image.manifest.v1+json"})
    CHECK_FALSE(may_be_compressed(other));
}
