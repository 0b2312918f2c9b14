// Reads TOML tables.
#include "config/table.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "config/nearest.hpp"
#include "config/toml_guard.hpp"
#include "config/values.hpp"
#include "ipcs/error.hpp"

namespace ipcs::config {

toml::table parse_toml(std::string_view text, const std::string& file_name) {
  Problems problems(file_name);
  try {
    if (const auto unsafe = find_unsafe(text)) {
      problems.add(unsafe->line, std::string(unsafe->problem));
    } else {
      return toml::parse(text);
    }
  } catch (const toml::parse_error& error) {
    problems.add(error.source().begin.line, "not TOML: " + one_line(error.description()));
  }
  problems.throw_if_any();
  throw Error(Code::kInternal, file_name + ": not parsed");
}

std::string_view kind_of(const toml::node& node) noexcept {
  switch (node.type()) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "an array";
    case toml::node_type::string:
      return "a string";
    case toml::node_type::integer:
      return "an integer";
    case toml::node_type::floating_point:
      return "a floating-point number";
    case toml::node_type::boolean:
      return "a boolean";
    case toml::node_type::date:
    case toml::node_type::time:
    case toml::node_type::date_time:
      return "a date or time";
    case toml::node_type::none:
      break;
  }
  return "nothing";
}

const toml::node* Table::find(std::string_view key) {
  if (std::find(known_.begin(), known_.end(), key) == known_.end()) known_.push_back(key);
  return table_.get(key);
}

size_t Table::line(std::string_view key) const {
  const auto found = table_.find(key);
  return found == table_.end() ? line_ : found->first.source().begin.line;
}

std::optional<std::string> Table::string(std::string_view key) {
  const toml::node* node = find(key);
  if (node == nullptr) return std::nullopt;
  if (const auto* text = node->as_string()) return text->get();
  wrong_kind(key, "a string", *node);
  return std::nullopt;
}

std::optional<std::vector<std::string>> Table::strings(std::string_view key) {
  const toml::node* node = find(key);
  if (node == nullptr) return std::nullopt;
  const toml::array* array = node->as_array();
  if (array == nullptr) {
    wrong_kind(key, "an array of strings", *node);
    return std::nullopt;
  }
  std::vector<std::string> texts;
  for (const toml::node& element : *array) {
    const auto* text = element.as_string();
    if (text == nullptr) {
      problems_.add(element.source().begin.line,
                    fmt::format("{} wants an array of strings, not one with {}", in_quotes(key), kind_of(element)));
      return std::nullopt;
    }
    texts.push_back(text->get());
  }
  return texts;
}

bool Table::attempt(std::string_view key, const std::function<void()>& body) {
  try {
    body();
    return true;
  } catch (const Error& error) {
    wrong(key, error.what());
    return false;
  }
}

void Table::wrong(std::string_view key, std::string_view predicate) {
  problems_.add(line(key), fmt::format("{} {}", in_quotes(key), predicate));
}

void Table::wrong_kind(std::string_view key, std::string_view wanted, const toml::node& node) {
  wrong(key, fmt::format("wants {}, not {}", wanted, kind_of(node)));
}

void Table::finish() {
  for (const auto& [key, node] : table_) {
    if (std::find(known_.begin(), known_.end(), key.str()) != known_.end()) continue;
    const std::optional<std::string> near = nearest(key.str(), known_);
    const std::string advice = near ? fmt::format("did you mean {}?", in_quotes(*near))
                                    : fmt::format("known here: {}", fmt::join(known_, ", "));
    problems_.add(key.source().begin.line, fmt::format("unknown key {} ({})", in_quotes(key.str()), advice));
  }
}

}  // namespace ipcs::config
