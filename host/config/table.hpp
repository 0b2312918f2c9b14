// A TOML table read key by key: types are checked, and what nobody asked for is an unknown key.
#pragma once

#include <toml++/toml.h>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/problems.hpp"

namespace ipcs::config {

// Parses a text. Throws Error kInvalidArgument: `file_name:line: what is wrong`.
toml::table parse_toml(std::string_view text, const std::string& file_name);

// What a node is, for people: "a string", "an integer", …
std::string_view kind_of(const toml::node& node) noexcept;

// Reads one table. Problems go to `problems`, and the value in question then counts as absent. The table and `problems`
// outlive it. One thread.
class Table {
 public:
  // `line` is where the table begins, 0 for the file itself.
  Table(const toml::table& table, size_t line, Problems& problems) : table_(table), line_(line), problems_(problems) {}

  // The node under `key`, or null. The key is known from then on.
  const toml::node* find(std::string_view key);
  // The line of a key, that of the table when it is not there.
  size_t line(std::string_view key) const;
  size_t line() const noexcept { return line_; }

  std::optional<std::string> string(std::string_view key);
  std::optional<std::vector<std::string>> strings(std::string_view key);

  // Reads a string and turns it into a value; an Error of `make` is a problem of the key.
  template <class Make>
  auto string(std::string_view key, Make make) -> std::optional<decltype(make(std::string_view()))> {
    const std::optional<std::string> text = string(key);
    if (!text) return std::nullopt;
    std::optional<decltype(make(std::string_view()))> value;
    attempt(key, [&] { value = make(*text); });
    return value;
  }

  // Runs `body`; an Error of it becomes the problem `"key" <message>`. Says whether there was none.
  bool attempt(std::string_view key, const std::function<void()>& body);
  // A problem of `key`, which it is the subject of.
  void wrong(std::string_view key, std::string_view predicate);

  // Reports the keys that nobody asked for.
  void finish();

 private:
  void wrong_kind(std::string_view key, std::string_view wanted, const toml::node& node);

  const toml::table& table_;
  size_t line_;
  Problems& problems_;
  std::vector<std::string_view> known_;
};

}  // namespace ipcs::config
