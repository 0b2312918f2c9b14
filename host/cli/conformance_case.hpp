// One case of the conformance suite in a process of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace ipcs::cli {

// What a case needs to know; see conformance::Subject.
struct CaseRequest {
  std::string config_json, other_config_json, scratch_dir;
  bool durable = true, read_only = true;
  uint64_t large_blob = 0;  // bytes, 0: the suite's own choice
  uint64_t many_ingests = 0;
};

nlohmann::json to_json(const CaseRequest& request);

// The names of all cases, in the order in which they run.
std::vector<std::string> case_names();

// main() of `ipcsctl plugin-case FILE INDEX FD`: runs case INDEX of case_names() on the plugin. The request comes as
// JSON on standard input; lines of JSON go to the descriptor, the last one {"outcome":…,"message":…}. Never runs the
// plugin's destructors. Call it before threads are started.
int case_main(int argc, char** argv);

}  // namespace ipcs::cli
