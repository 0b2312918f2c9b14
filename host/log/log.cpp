// The logger: rendered lines through an spdlog sink on standard error.
#include "log/log.hpp"

#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>

#include "ipcs/error.hpp"
#include "log/render.hpp"

namespace ipcs::log {
namespace {

spdlog::level::level_enum to_spdlog(Level level) noexcept {
  switch (level) {
    case Level::kDebug:
      return spdlog::level::debug;
    case Level::kInfo:
      return spdlog::level::info;
    case Level::kWarn:
      return spdlog::level::warn;
    case Level::kError:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

}  // namespace

Level parse_level(std::string_view text) {
  for (const Level level : {Level::kDebug, Level::kInfo, Level::kWarn, Level::kError}) {
    if (text == to_string(level)) return level;
  }
  throw Error(Code::kInvalidArgument,
              "the log level is one of debug, info, warn, error, not \"" + std::string(text) + '"');
}

Format parse_format(std::string_view text) {
  if (text == "text") return Format::kText;
  if (text == "json") return Format::kJson;
  throw Error(Code::kInvalidArgument, "the log format is text or json, not \"" + std::string(text) + '"');
}

Log::Log(Level level, Format format)
    : logger_(std::make_shared<spdlog::logger>("ipcs", std::make_shared<spdlog::sinks::stderr_sink_mt>())),
      format_(format) {
  logger_->set_level(to_spdlog(level));
  logger_->set_pattern("%v");  // a line arrives rendered
}

Log Log::none() {
  Log log;
  log.logger_.reset();
  return log;
}

bool Log::enabled(Level level) const noexcept {
  return logger_ && logger_->should_log(to_spdlog(level));
}

void Log::write(Level level, std::string_view message, Fields fields) const {
  if (!enabled(level)) return;
  const auto now = std::chrono::system_clock::now();
  const std::string line =
      format_ == Format::kJson ? render_json(now, level, message, fields) : render_text(now, level, message, fields);
  logger_->log(to_spdlog(level), spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace ipcs::log
