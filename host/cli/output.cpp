// Aligning and writing.
#include "cli/output.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "cli/text.hpp"
#include "ipcs/error.hpp"

namespace ipcs::cli {

void Table::add(std::vector<std::string> cells) {
  for (std::string& cell : cells) cell = printable(cell);
  rows_.push_back(std::move(cells));
}

std::string Table::render() const {
  std::vector<size_t> widths;
  for (size_t i = 0; i < columns_.size(); ++i) {
    size_t width = columns(columns_[i].name);
    for (const auto& row : rows_) width = std::max(width, columns(row[i]));
    widths.push_back(width);
  }
  std::string text;
  const auto append = [&](size_t i, std::string_view cell) {
    if (i > 0) text += "  ";
    const std::string space(widths[i] - columns(cell), ' ');
    if (columns_[i].align == Align::kRight) text += space;
    text += cell;
    if (columns_[i].align == Align::kLeft && i + 1 < columns_.size()) text += space;
  };
  const auto end_line = [&] {
    text.erase(text.find_last_not_of(' ') + 1);
    text += '\n';
  };
  const bool header = std::any_of(columns_.begin(), columns_.end(), [](const Column& c) { return !c.name.empty(); });
  if (header) {
    for (size_t i = 0; i < columns_.size(); ++i) append(i, columns_[i].name);
    end_line();
  }
  for (const auto& row : rows_) {
    for (size_t i = 0; i < columns_.size(); ++i) append(i, row[i]);
    end_line();
  }
  return text;
}

void Output::line(std::string_view text) {
  write(printable(text));
  write("\n");
}

void Output::json(const Json& value) {
  write(value.dump(2, ' ', false, Json::error_handler_t::replace));
  write("\n");
}

void Output::write(std::string_view bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), file_) != bytes.size()) fail(errno);
}

void Output::flush() {
  if (std::fflush(file_) != 0) fail(errno);
}

void Output::fail(int error) {
  throw Error(error == ENOSPC ? Code::kResourceExhausted : Code::kInternal,
              std::string("standard output: ") + std::strerror(error));
}

}  // namespace ipcs::cli
