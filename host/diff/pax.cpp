// From the text of an extended header to an entry.
#include "diff/pax.hpp"

#include <algorithm>
#include <vector>

#include "diff/tar_header.hpp"

namespace ipcs::diff {
namespace {

constexpr std::string_view kXattr = "SCHILY.xattr.";

struct Record {
  std::string_view key, value;
};

bool has_nul(std::string_view text) { return text.find('\0') != std::string_view::npos; }

// Takes the first record off `text`.
Record take_record(std::string_view& text) {
  const size_t space = text.find(' ');
  if (space == std::string_view::npos) bad_archive("an extended header's record has no length");
  const int64_t length = parse_decimal(text.substr(0, space), "the length of an extended header's record");
  if (length < 5 || static_cast<uint64_t>(length) > text.size() || static_cast<uint64_t>(length) <= space + 1)
    bad_archive("an extended header's record has a wrong length");
  std::string_view body = text.substr(space + 1, static_cast<size_t>(length) - space - 1);
  if (body.back() != '\n') bad_archive("an extended header's record does not end where it says");
  body.remove_suffix(1);
  const size_t equals = body.find('=');
  if (equals == std::string_view::npos || equals == 0) bad_archive("an extended header's record has no key");
  const Record record{body.substr(0, equals), body.substr(equals + 1)};
  const bool is_text =
      record.key == "path" || record.key == "linkpath" || record.key == "uname" || record.key == "gname";
  if (has_nul(is_text ? record.value : record.key)) bad_archive("an extended header's record has a NUL byte");
  text.remove_prefix(static_cast<size_t>(length));
  return record;
}

// "-1.25" is a quarter of a second before -1.
Time parse_time(std::string_view text) {
  const size_t point = text.find('.');
  Time time{parse_decimal(text.substr(0, point), "a time"), 0};
  if (point == std::string_view::npos) return time;
  int64_t unit = 100'000'000;
  for (const char c : text.substr(point + 1)) {
    if (c < '0' || c > '9') bad_archive("a time is not a number");
    time.nanoseconds += (c - '0') * unit;
    unit /= 10;
  }
  if (text.starts_with('-') && time.nanoseconds != 0 && time.seconds > INT64_MIN) {
    --time.seconds;
    time.nanoseconds = 1'000'000'000 - time.nanoseconds;
  }
  return time;
}

}  // namespace

PaxRecords parse_pax(std::string_view text) {
  PaxRecords records;
  std::string map;
  bool wants_length = false;  // of the map's last run
  while (!text.empty()) {
    const Record record = take_record(text);
    const bool is_offset = record.key == "GNU.sparse.offset";
    if (is_offset || record.key == "GNU.sparse.numbytes") {
      if (is_offset == wants_length || record.value.find(',') != std::string_view::npos)
        bad_archive("a sparse file's map is in disorder");
      if (!map.empty()) map += ',';
      map += record.value;
      wants_length = is_offset;
    } else {
      records.insert_or_assign(std::string(record.key), std::string(record.value));
    }
  }
  if (!map.empty()) records.insert_or_assign("GNU.sparse.map", map);
  return records;
}

void merge_pax(const PaxRecords& records, TarEntry& entry) {
  for (const auto& [key, value] : records) {
    if (key.starts_with(kXattr)) {
      entry.xattrs.emplace_back(key.substr(kXattr.size()), value);
    } else if (value.empty()) {
      continue;
    } else if (key == "path") {
      entry.name = value;
    } else if (key == "linkpath") {
      entry.link = value;
    } else if (key == "uid") {
      entry.uid = parse_decimal(value, "a user id");
    } else if (key == "gid") {
      entry.gid = parse_decimal(value, "a group id");
    } else if (key == "size") {
      entry.size = parse_decimal(value, "a size");
    } else if (key == "mtime") {
      entry.modified = parse_time(value);
    } else if (key == "atime") {
      entry.accessed = parse_time(value);
    } else if (key == "ctime") {
      parse_time(value);
    }
  }
}

}  // namespace ipcs::diff
