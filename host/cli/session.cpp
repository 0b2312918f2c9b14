// What verbs share.
#include "cli/session.hpp"

#include <unistd.h>

#include <cstdio>

#include "cli/text.hpp"
#include "ipcs/error.hpp"
#include "oci/digest.hpp"

namespace ipcs::cli {

void complain(const std::string& what) {
  std::string line = what;
  for (char& c : line) c = c == '\n' ? ' ' : c;
  std::fprintf(stderr, "ipcsctl: %s\n", printable(line).c_str());
}

void Session::tell(const std::string& line) const {
  if (!flags.quiet) std::fprintf(stderr, "%s\n", printable(line).c_str());
}

int Session::each(const std::vector<std::string>& names, const std::function<void(const std::string&)>& one) const {
  int result = kOk;
  for (const std::string& name : names) {
    try {
      one(name);
    } catch (const Error& e) {
      complain(e.what());
      result = kFailure;
      // Where nobody listens, the others fare no better.
      if (e.code() == Code::kUnavailable || e.code() == Code::kPermissionDenied) break;
    }
  }
  return result;
}

std::unique_ptr<Progress> Session::progress(std::string label) const {
  const bool off = flags.quiet || flags.no_progress;
  return std::make_unique<Progress>(std::move(label), off ? ProgressMode::kOff : progress_mode(STDERR_FILENO),
                                    STDERR_FILENO);
}

CLI::Validator is_digest() {
  return CLI::Validator(
      [](std::string& text) {
        try {
          oci::Digest::parse(text);
          return std::string();
        } catch (const Error& e) {
          return std::string(e.what());
        }
      },
      "", "digest");
}

CLI::Validator is_not_empty() {
  return CLI::Validator(
      [](std::string& text) { return text.empty() ? std::string("it must not be empty") : std::string(); }, "", "text");
}

CLI::Validator is_text() {
  return CLI::Validator(
      [](std::string& text) { return is_utf8(text) ? std::string() : '"' + printable(text) + "\" is not UTF-8"; }, "",
      "text");
}

}  // namespace ipcs::cli
