// Results on standard output: lines, aligned tables or JSON.
#pragma once

#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace ipcs::cli {

enum class Format { kTable, kJson };

// JSON objects keep their keys in the order of writing.
using Json = nlohmann::ordered_json;

// Rows of cells under a header. Cells may hold any bytes; what does not belong on a terminal is escaped.
class Table {
 public:
  enum class Align { kLeft, kRight };
  struct Column {
    std::string_view name;
    Align align = Align::kLeft;
  };

  // Without column names there is no header.
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  // As many cells as there are columns.
  void add(std::vector<std::string> cells);
  // All lines, two spaces between columns, none at the ends of lines.
  std::string render() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

// Standard output. Everything that could not be written is an Error: kResourceExhausted or kInternal. One thread.
class Output {
 public:
  explicit Output(std::FILE* file) : file_(file) {}

  void line(std::string_view text);
  void table(const Table& table) { write(table.render()); }
  // Indented, with a line end. Text that is not UTF-8 is replaced.
  void json(const Json& value);
  void write(std::string_view bytes);
  // Hands over to the system what is buffered.
  void flush();

 private:
  [[noreturn]] static void fail(int error);
  std::FILE* file_;
};

}  // namespace ipcs::cli
