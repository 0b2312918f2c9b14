// libarchive on a stream of a blob.
#include "image/layer_files.hpp"

#include <archive.h>
#include <archive_entry.h>

#include <array>
#include <cerrno>
#include <exception>
#include <memory>

#include "image/blob_stream.hpp"
#include "ipcs/error.hpp"

namespace ipcs::image {
namespace {

// What libarchive is given to read from.
struct Input {
  explicit Input(oci::BlobSource& source, const oci::Descriptor& layer, const oci::Call& call)
      : stream(source, layer, call) {}
  BlobStream stream;
  std::string piece;
  std::exception_ptr failure;
};

la_ssize_t next_piece(archive* reader, void* input_of, const void** bytes) {
  auto& input = *static_cast<Input*>(input_of);
  try {
    input.piece = input.stream.next();
    *bytes = input.piece.data();
    return static_cast<la_ssize_t>(input.piece.size());
  } catch (...) {
    // No exception may pass through libarchive.
    input.failure = std::current_exception();
    archive_set_error(reader, EIO, "the blob can't be read");
    return -1;
  }
}

struct Close {
  void operator()(archive* reader) const noexcept { archive_read_free(reader); }
};

}  // namespace

void list_layer_files(oci::BlobSource& source, const oci::Descriptor& layer,
                      const std::function<void(const oci::Digest&, uint64_t size)>& file, const oci::Call& call) {
  Input input(source, layer, call);
  const std::unique_ptr<archive, Close> reader(archive_read_new());
  if (!reader) throw std::bad_alloc();
  const auto check = [&](la_ssize_t result) {
    if (result >= ARCHIVE_WARN) return;  // a warning is about names and the like
    if (input.failure) std::rethrow_exception(input.failure);
    const char* why = archive_error_string(reader.get());
    throw Error(Code::kInvalidArgument,
                "layer " + layer.digest().to_string() + ": is no tar that can be read: " + (why ? why : "unknown error"));
  };
  check(archive_read_support_filter_gzip(reader.get()));
  check(archive_read_support_filter_zstd(reader.get()));
  check(archive_read_support_format_tar(reader.get()));
  check(archive_read_open(reader.get(), &input, nullptr, next_piece, nullptr));
  std::array<uint8_t, 128 << 10> buffer;
  for (archive_entry* entry = nullptr;;) {
    call.check();
    const int result = archive_read_next_header(reader.get(), &entry);
    if (result == ARCHIVE_EOF) break;
    if (result == ARCHIVE_RETRY) continue;
    check(result);
    if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry) != nullptr) continue;
    oci::Hasher hasher(oci::Algorithm::kSha256);
    uint64_t size = 0;
    for (;;) {
      const la_ssize_t count = archive_read_data(reader.get(), buffer.data(), buffer.size());
      check(count);
      if (count <= 0) break;
      call.check();
      hasher.update(std::span(buffer).first(static_cast<size_t>(count)));
      size += static_cast<uint64_t>(count);
    }
    file(hasher.digest(), size);
  }
  // What follows the tar's end is part of the blob, which counts for nothing until its source has vouched for all of it.
  while (!input.stream.next().empty()) continue;
}

}  // namespace ipcs::image
