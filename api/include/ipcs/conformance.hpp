// The conformance suite: every sentence of content_store.h and extensions.h that can be tested, run against a loaded plugin.
//
// It knows no test framework. A caller loads the plugin, describes it in a Subject, and runs the cases one by one or
// all at once; each passes, fails or is not offered, with a message. Each case makes bytes, digests and keys of its own
// and removes what it made, so that it may run on a store that holds other blobs.
#pragma once

#include <exception>
#include <functional>
#include <string>
#include <vector>

#include "ipcs/conformance/blobs.hpp"
#include "ipcs/conformance/context.hpp"
#include "ipcs/conformance/extensions.hpp"
#include "ipcs/conformance/ingests.hpp"
#include "ipcs/conformance/opening.hpp"

namespace ipcs::conformance {

enum class Outcome { kPassed, kFailed, kNotOffered };

inline const char* to_string(Outcome outcome) noexcept {
  switch (outcome) {
    case Outcome::kPassed:
      return "passed";
    case Outcome::kFailed:
      return "failed";
    case Outcome::kNotOffered:
      return "not offered";
  }
  return "?";
}

struct Result {
  std::string name;
  Outcome outcome = Outcome::kPassed;
  std::string message;  // why it failed or is not offered; empty when it passed
};

// All cases, in the order in which they run.
inline std::vector<Case> cases() {
  std::vector<Case> all = opening_cases();
  for (const auto& more : {blob_cases(), ingest_cases(), extension_cases()}) all.insert(all.end(), more.begin(), more.end());
  return all;
}

// Opens the subject's store, runs one case and closes it. Never throws for what the plugin does.
inline Result run(const Subject& subject, const Case& test) {
  try {
    Context context(subject);
    test.run(context);
    context.clean_up();
    return {test.name, Outcome::kPassed, ""};
  } catch (const NotOffered& reason) {
    return {test.name, Outcome::kNotOffered, reason.what()};
  } catch (const Error& error) {
    return {test.name, Outcome::kFailed, std::string("unexpected ") + code_name(error.code()) + ": " + error.what()};
  } catch (const std::exception& failure) {
    return {test.name, Outcome::kFailed, failure.what()};
  }
}

// Runs all cases; `report` is called after each.
inline std::vector<Result> run_all(const Subject& subject, const std::function<void(const Result&)>& report = {}) {
  std::vector<Result> results;
  for (const Case& test : cases()) {
    results.push_back(run(subject, test));
    if (report) report(results.back());
  }
  return results;
}

}  // namespace ipcs::conformance
