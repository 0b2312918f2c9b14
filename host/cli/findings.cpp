// Rows and counts of findings.
#include "cli/findings.hpp"

#include <fmt/format.h>

namespace ipcs::cli {
namespace {

const char* kind_name(admin_api::Finding::Kind kind) {
  switch (kind) {
    case admin_api::Finding::DAMAGED:
      return "damaged";
    case admin_api::Finding::MISSING:
      return "missing";
    case admin_api::Finding::REFUSED:
      return "refused";
    case admin_api::Finding::LEAKED:
      return "leaked";
    case admin_api::Finding::UNREADABLE:
      return "unreadable";
    default:
      return "unknown";
  }
}

}  // namespace

void Findings::add(const admin_api::Finding& finding) {
  const std::string kind = kind_name(finding.kind());
  ++counts_[kind];
  if (session_.json()) {
    json_.push_back({{"kind", kind}, {"digest", finding.digest()}, {"detail", finding.detail()}});
    if (mends_) json_.back()["mended"] = finding.mended();
  } else if (session_.flags.quiet) {
    session_.output.line(finding.digest());
  } else {
    session_.output.line(fmt::format("{:<10}  {}  {}{}", kind, finding.digest(), finding.detail(), finding.mended() ? "; mended" : ""));
  }
  session_.output.flush();
}

std::string Findings::summary() const {
  std::string text;
  for (const auto& [kind, count] : counts_) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, kind);
  return text;
}

}  // namespace ipcs::cli
