// The ELF peek on good plugins, on every kind of bad file, and on damaged copies.
#include "plugin/elf_peek.hpp"

#include <sys/stat.h>

#include <random>

#include "host/plugin/files.hpp"

using namespace ipcs;
using namespace ipcs::loader;
using namespace ipcs::loader::test;

namespace {

std::string refusal(const std::vector<uint8_t>& bytes) {
  return error_of([&] { peek(MemorySource(bytes), "x.so"); }).what();
}

template <class T>
void put(std::vector<uint8_t>& bytes, size_t offset, T value) {
  std::memcpy(bytes.data() + offset, &value, sizeof value);
}

}  // namespace

TEST_CASE("a good plugin's data is read without running it") {
  const std::string name = GENERATE("good", "good-relr");
  const PluginFacts facts = peek(built(name));
  CHECK(facts.name == "good");
  CHECK(facts.version == "1.2.3");
  CHECK(facts.description == "an empty store");
  CHECK(contains(facts.build, "libstdc++"));
  CHECK(facts.abi_minor == IPCS_ABI_MINOR);
  CHECK(std::find(facts.needed.begin(), facts.needed.end(), "libc.so.6") != facts.needed.end());
}

TEST_CASE("a plugin without any section table is read") {
  std::vector<uint8_t> bytes = bytes_of(built("good"));
  put<uint64_t>(bytes, offsetof(Elf64_Ehdr, e_shoff), 0);
  put<uint16_t>(bytes, offsetof(Elf64_Ehdr, e_shnum), 0);
  CHECK(peek(MemorySource(bytes), "x.so").name == "good");
}

TEST_CASE("older and newer minors are read") {
  CHECK(peek(built("minor-0")).abi_minor == 0);
  CHECK(peek(built("larger")).abi_minor == 9);
  CHECK(peek(built("larger")).name == "larger");
}

TEST_CASE("files that are no plugins are refused in one line that names file, fault and mend") {
  const auto [name, fault] = GENERATE(table<std::string, std::string>({
      {"no-symbol", "does not export ipcs_content_store_v1"},
      {"function-symbol", "not a data symbol"},
      {"small-symbol", "has 4 bytes"},
      {"next-major", "built for ABI major 2, this host speaks 1"},
      {"wrong-major", "built for ABI major 3, this host speaks 1"},
      {"wrong-magic", "magic number"},
      {"small-struct", "says that it has 40 bytes"},
      {"ctor-filled", "not constant data"},
      {"bad-name", "has the name \"Bad Name\""},
  }));
  const Error e = error_of([&, file = built(name)] { peek(file); });
  INFO(e.what());
  CHECK(e.code() == Code::kFailedPrecondition);
  CHECK(contains(e.what(), built(name) + ": "));
  CHECK(contains(e.what(), fault));
  CHECK(contains(e.what(), "; "));
}

TEST_CASE("what is not even an ELF file is refused") {
  const TempDir dir;
  const auto line = [](const std::string& path) -> std::string { return error_of([&] { peek(path); }).what(); };
  CHECK(contains(line(dir.write("empty.so", "")), "empty.so: is empty"));
  CHECK(contains(line(dir.write("text.so", "#!/bin/sh\necho hello\n")), "text.so: is not an ELF file"));
  CHECK(contains(line(dir.write("tiny.so",
                                "\x7f"
                                "EL")),
                 "is not an ELF file"));
  std::filesystem::create_directory(dir.path("dir.so"));
  CHECK(contains(line(dir.path("dir.so")), "is not a regular file"));
  REQUIRE(::mkfifo(dir.path("fifo.so").c_str(), 0600) == 0);
  CHECK(contains(line(dir.path("fifo.so")), "is not a regular file"));
  CHECK(error_of([&] { peek(dir.path("none.so")); }).code() == Code::kNotFound);
  CHECK(contains(line("/proc/self/exe"), "not a shared object"));
}

TEST_CASE("objects of other machines and kinds are refused") {
  const std::vector<uint8_t> good = bytes_of(built("good"));
  const auto patched = [&](size_t offset, auto value) {
    std::vector<uint8_t> bytes = good;
    put(bytes, offset, value);
    return refusal(bytes);
  };
  const uint16_t other = good[offsetof(Elf64_Ehdr, e_machine)] == EM_AARCH64 ? EM_S390 : EM_AARCH64;
  const std::string other_name = other == EM_S390 ? "S/390" : "AArch64";
  CHECK(contains(patched(offsetof(Elf64_Ehdr, e_machine), other), "is built for " + other_name + ", this host is "));
  CHECK(contains(patched(offsetof(Elf64_Ehdr, e_machine), uint16_t{4711}), "is built for machine 4711"));
  CHECK(contains(patched(EI_CLASS, uint8_t{ELFCLASS32}), "not a 64-bit object"));
  CHECK(contains(patched(EI_DATA, uint8_t{ELFDATA2MSB}), "not a little-endian object"));
  CHECK(contains(patched(offsetof(Elf64_Ehdr, e_type), uint16_t{ET_REL}), "link it with -shared"));
  CHECK(contains(patched(offsetof(Elf64_Ehdr, e_phoff), UINT64_MAX - 8), "is truncated"));
  CHECK(contains(patched(offsetof(Elf64_Ehdr, e_phnum), uint16_t{0}), "no loaded segment"));
}

TEST_CASE("a file cut short anywhere is refused") {
  const std::vector<uint8_t> good = bytes_of(built("good"));
  // All short lengths and all near the end, and steps in between.
  for (size_t size = 0; size < good.size(); size += (size < 1200 || size + 1200 > good.size()) ? 1 : 37) {
    const std::vector<uint8_t> cut(good.begin(), good.begin() + static_cast<ptrdiff_t>(size));
    try {
      peek(MemorySource(cut), "x.so");
      FAIL("accepted when cut to " << size << " of " << good.size() << " bytes");
    } catch (const Error& e) {
      if (size > 64 && !contains(e.what(), "is truncated")) FAIL("cut to " << size << ": " << e.what());
    }
  }
}

TEST_CASE("damaged bytes give an answer or an Error") {
  const std::string name = GENERATE("good", "good-relr");
  const std::vector<uint8_t> good = bytes_of(built(name));
  std::mt19937 random(20);
  // Most of what is parsed lies in the first pages.
  std::uniform_int_distribution<size_t> anywhere(0, good.size() - 1), early(0, 4095);
  size_t refused = 0;
  for (int round = 0; round < 3000; ++round) {
    std::vector<uint8_t> bytes = good;
    for (int i = 0; i < 8; ++i)
      bytes[(i % 2 == 0 ? early : anywhere)(random) % bytes.size()] = static_cast<uint8_t>(random());
    try {
      peek(MemorySource(bytes), "x.so");
    } catch (const Error&) {
      ++refused;
    }
  }
  CHECK(refused > 100);
}

TEST_CASE("plugin names") {
  CHECK(valid_plugin_name("a"));
  CHECK(valid_plugin_name("ipfs-http2"));
  CHECK(valid_plugin_name(std::string(32, 'a')));
  for (const char* bad : {"", "-a", "1a", "A", "a_b", "a/b", "a b", "\xc3\xa4"}) CHECK_FALSE(valid_plugin_name(bad));
  CHECK_FALSE(valid_plugin_name(std::string(33, 'a')));
}
