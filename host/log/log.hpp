// Structured log lines on stderr: a message and fields, as logfmt text or JSON.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace spdlog {
class logger;
}

namespace ipcs::log {

enum class Level { kDebug, kInfo, kWarn, kError };
enum class Format { kText, kJson };

// "debug", "info", "warn" or "error"; throws Error kInvalidArgument for anything else.
Level parse_level(std::string_view text);
// "text" or "json"; throws Error kInvalidArgument for anything else.
Format parse_format(std::string_view text);

// One field of a line. Numbers are passed through std::to_string or fmt by the caller.
using Field = std::pair<std::string_view, std::string>;
using Fields = std::initializer_list<Field>;

// A logger. Cheap to copy; copies share the sink. [thread-safe]
class Log {
 public:
  // Writes to standard error.
  explicit Log(Level level = Level::kInfo, Format format = Format::kText);
  // Drops everything: for tests and tools.
  static Log none();

  void debug(std::string_view message, Fields fields = {}) const { write(Level::kDebug, message, fields); }
  void info(std::string_view message, Fields fields = {}) const { write(Level::kInfo, message, fields); }
  void warn(std::string_view message, Fields fields = {}) const { write(Level::kWarn, message, fields); }
  void error(std::string_view message, Fields fields = {}) const { write(Level::kError, message, fields); }
  void write(Level level, std::string_view message, Fields fields) const;
  bool enabled(Level level) const noexcept;

 private:
  std::shared_ptr<spdlog::logger> logger_;  // null: drops everything
  Format format_ = Format::kText;
};

}  // namespace ipcs::log
