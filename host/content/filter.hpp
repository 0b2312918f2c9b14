// containerd's filter language: which blobs or ingests a List or ListStatuses request asks for.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace re2 {
class RE2;
}

namespace ipcs::content {

// What a filter looks at: one object, reached by field paths. Nothing means that the object has no such field; a
// filter then sees the empty string as its value.
class Adaptor {
 public:
  virtual ~Adaptor() = default;
  // `path` has at least one part. The result lives as long as the object that the adaptor shows.
  virtual std::optional<std::string_view> field(std::span<const std::string> path) const = 0;
};

// A blob: `digest`, and `labels.<key>` with any number of parts, joined by dots. The size can't be asked for. Refers to
// what it is given.
class BlobAdaptor final : public Adaptor {
 public:
  using Labels = std::map<std::string, std::string>;
  BlobAdaptor(std::string_view digest, const Labels& labels) : digest_(digest), labels_(labels) {}
  std::optional<std::string_view> field(std::span<const std::string> path) const override;

 private:
  std::string_view digest_;
  const Labels& labels_;
};

// An ingest: `ref`. Refers to what it is given.
class IngestAdaptor final : public Adaptor {
 public:
  explicit IngestAdaptor(std::string_view ref) : ref_(ref) {}
  std::optional<std::string_view> field(std::span<const std::string> path) const override;

 private:
  std::string_view ref_;
};

// What parse() accepts at most.
inline constexpr size_t kMaxFilterBytes = 64 << 10;   // of all filters of a request together
inline constexpr size_t kMaxSelectors = 1000;         // likewise
inline constexpr size_t kMaxPatterns = 64;            // selectors with ~=, likewise
inline constexpr size_t kMaxPatternMemory = 2 << 20;  // bytes of one compiled regular expression

// The filters of one request. Immutable value; copies share the compiled expressions. [thread-safe]
//
//   filter    := selector ("," selector)*                   all of them must match; the empty filter matches anything
//   selector  := fieldpath [operator value]                 without an operator: the field is there
//   fieldpath := field ("." field)*
//   field     := '"' text '"' | [A-Za-z0-9_]+
//   operator  := "==" | "!=" | "~="                         equal, not equal, has a match of a regular expression
//   value     := '"' text '"' | printable characters but ","; after "~=" also /text/ and |text|
//
// Text knows Go's escapes, and \ before its own quote. Space may stand before a field, an operator and a value.
class Filter {
 public:
  // Several filters match what any of them matches; no filter matches anything.
  // Throws Error kInvalidArgument, with the place, where a filter does not follow the grammar or a limit is passed. A
  // regular expression that is wrong is no error: as in containerd, its selector matches nothing.
  static Filter parse(std::span<const std::string> filters);

  bool matches(const Adaptor& object) const;

 private:
  friend class FilterParser;
  enum class Operator { kPresent, kEqual, kNotEqual, kMatches };
  struct Selector {
    std::vector<std::string> path;
    Operator op = Operator::kPresent;
    std::string value;
    std::shared_ptr<const re2::RE2> pattern;  // of kMatches; null: it is wrong
    bool matches(const Adaptor& object) const;
  };
  std::vector<std::vector<Selector>> any_of_;  // each a conjunction
};

}  // namespace ipcs::content
