// Plugins that do one thing wrong each, chosen by a macro; written against the C ABI, without a guard around anything.
#include <unistd.h>

#include <cstdlib>
#include <stdexcept>

#include "ipcs/content_store.h"

namespace {

[[maybe_unused]] void hang() {
  for (;;) ::pause();
}
// Not through a null pointer, which compilers and UBSan know.
[[maybe_unused]] void touch_nothing() {
  int* volatile nowhere = reinterpret_cast<int*>(64);
  *nowhere = 1;
}

#if defined(CTOR_THROW)
struct Early { Early() { throw std::runtime_error("boom in a constructor"); } } early;
#elif defined(CTOR_ABORT)
struct Early { Early() { std::abort(); } } early;
#elif defined(CTOR_HANG)
struct Early { Early() { hang(); } } early;
#elif defined(CTOR_EXIT)
struct Early { Early() { std::exit(0); } } early;
#elif defined(CTOR_SEGV)
struct Early { Early() { touch_nothing(); } } early;
#elif defined(CTOR_PRINT)
// Floods what it can reach and leaves a process behind that holds all descriptors.
struct Early {
  Early() {
    for (int i = 0; i < 20000; ++i)
      if (::write(STDOUT_FILENO, "{\"ok\":true}\n", 12) < 0) break;
    if (::fork() == 0) hang();
  }
} early;
#endif
#if defined(DTOR_ABORT)
struct Late { ~Late() { std::abort(); } } late;
#endif

int32_t validate(const ipcs_host*, ipcs_str, ipcs_status*) {
#if defined(VALIDATE_THROW)
  throw std::runtime_error("boom in validate");
#elif defined(VALIDATE_ABORT)
  std::abort();
#elif defined(VALIDATE_HANG)
  hang();
#elif defined(VALIDATE_SILENT)
  return IPCS_INVALID_ARGUMENT;
#elif defined(VALIDATE_ODD_CODE)
  return 4711;
#endif
  return IPCS_OK;
}

int32_t open(const ipcs_host*, const ipcs_call* call, ipcs_str, uint32_t, ipcs_store** out, ipcs_status*) {
#if defined(OPEN_THROW)
  throw std::runtime_error("boom in open");
#elif defined(OPEN_ABORT)
  std::abort();
#elif defined(OPEN_HANG)
  hang();
#elif defined(OPEN_NULL)
  return IPCS_OK;
#elif defined(OPEN_LATE)
  while (call->cancelled(call) == 0) ::usleep(1000);
  ::usleep(300000);
#endif
  (void)call;
  *out = reinterpret_cast<ipcs_store*>(::malloc(1));
  return IPCS_OK;
}

void close(ipcs_store* store) {
  // Tells the test, which has no other way to see it.
  if (::getenv("IPCS_TEST_CLOSE_FD") != nullptr && ::write(::atoi(::getenv("IPCS_TEST_CLOSE_FD")), "c", 1) < 0) abort();
  ::free(store);
}

#define NO(...) [](__VA_ARGS__) -> int32_t { return IPCS_UNIMPLEMENTED; }

struct StoreOps {
  ipcs_store_ops ops = {
      sizeof(ipcs_store_ops), 0, close,
      NO(ipcs_store*, const ipcs_call*, ipcs_store_info*, ipcs_status*),
      NO(ipcs_store*, const ipcs_call*, ipcs_str, ipcs_entry*, ipcs_status*),
      NO(ipcs_store*, const ipcs_call*, ipcs_str, ipcs_reader**, ipcs_status*),
      NO(ipcs_store*, const ipcs_call*, ipcs_cursor**, ipcs_status*),
      NO(ipcs_store*, const ipcs_call*, ipcs_str, ipcs_status*),
      NO(ipcs_store*, const ipcs_call*, ipcs_str, uint32_t, uint64_t, ipcs_ingest**, ipcs_status*),
      NO(ipcs_store*, const ipcs_call*, ipcs_cursor**, ipcs_status*),
      NO(ipcs_store*, const ipcs_call*, ipcs_str, ipcs_status*),
      [](ipcs_store*, const char*) -> const void* { return nullptr; },
      NO(ipcs_store*, const ipcs_call*, ipcs_str, ipcs_status*),
  };
  void (*of_a_later_minor)() = nullptr;
};
constexpr StoreOps make_store() {
  StoreOps store;
#if defined(MINOR_0)
  store.ops.struct_size = offsetof(ipcs_store_ops, quarantine_blob);
  store.ops.quarantine_blob = nullptr;
#elif defined(LARGER)
  store.ops.struct_size = sizeof(StoreOps);
#elif defined(SMALL_TABLE)
  store.ops.struct_size = offsetof(ipcs_store_ops, extension);
#elif defined(NULL_FUNCTION)
  store.ops.list_blobs = nullptr;
#endif
  return store;
}
constexpr StoreOps kStore = make_store();
constexpr ipcs_reader_ops kReader = {sizeof(ipcs_reader_ops), 0, [](ipcs_reader*) {},
                                     [](ipcs_reader*) -> uint64_t { return 0; },
                                     NO(ipcs_reader*, const ipcs_call*, uint64_t, ipcs_span, size_t*, ipcs_status*)};
constexpr ipcs_ingest_ops kIngest = {sizeof(ipcs_ingest_ops), 0, [](ipcs_ingest*) {},
                                     NO(ipcs_ingest*, uint64_t*, ipcs_status*),
                                     NO(ipcs_ingest*, const ipcs_call*, uint64_t, ipcs_span, size_t*, ipcs_status*),
                                     NO(ipcs_ingest*, const ipcs_call*, ipcs_bytes, ipcs_status*),
                                     NO(ipcs_ingest*, const ipcs_call*, uint64_t, ipcs_status*),
                                     NO(ipcs_ingest*, const ipcs_call*, uint64_t, ipcs_str, ipcs_str, ipcs_status*)};
constexpr ipcs_cursor_ops kCursor = {sizeof(ipcs_cursor_ops), 0, [](ipcs_cursor*) {},
                                     NO(ipcs_cursor*, const ipcs_call*, ipcs_entry*, size_t, size_t*, ipcs_status*)};

constexpr ipcs_plugin make_plugin() {
  ipcs_plugin plugin = {IPCS_ABI_MAGIC, sizeof(ipcs_plugin), IPCS_ABI_MAJOR, IPCS_ABI_MINOR,
#if defined(BAD_NAME)
                        "Bad Name",
#else
                        PLUGIN_NAME,
#endif
                        "0.1", "does one thing wrong", "test", validate, open,
                        &kStore.ops, &kReader, &kIngest, &kCursor};
#if defined(WRONG_MAGIC)
  plugin.magic ^= 1;
#elif defined(WRONG_MAJOR)
  plugin.abi_major = 3;
#elif defined(SMALL_STRUCT)
  plugin.struct_size = 40;
#elif defined(NULL_TABLE)
  plugin.ingest = nullptr;
#elif defined(NULL_TEXT)
  plugin.build = nullptr;
#elif defined(NULL_OPEN)
  plugin.open = nullptr;
#elif defined(LARGER)
  plugin.abi_minor = 9;
#elif defined(MINOR_0)
  plugin.abi_minor = 0;
#endif
  return plugin;
}

}  // namespace

#if defined(CTOR_FILLED)
extern "C" const ipcs_plugin ipcs_content_store_v1 = (::getpid() > 0 ? make_plugin() : ipcs_plugin{});
#elif defined(LARGER)
struct LargerPlugin {
  ipcs_plugin now;
  const char* of_a_later_minor;
};
extern "C" __attribute__((visibility("default"))) constinit const LargerPlugin larger_plugin asm("ipcs_content_store_v1");
constinit const LargerPlugin larger_plugin = {[] {
                                                ipcs_plugin plugin = make_plugin();
                                                plugin.struct_size = sizeof(LargerPlugin);
                                                return plugin;
                                              }(),
                                              "new"};
#else
extern "C" constinit const ipcs_plugin ipcs_content_store_v1 = make_plugin();
#endif
