// Names of runs that pin what they work on, by which a later one knows those that have ended.
#pragma once

#include <string>

namespace ipcs::image {

// The name of a new run of this process: "image-<boot>-<process namespace>-<process>-<its start>-<random>".
std::string new_run_owner();

// Whether `owner` names a run whose process is gone for certain, as after a kill. False for all other owners, and where
// this process can't tell: of another machine, boot or process namespace.
bool run_has_ended(const std::string& owner);

}  // namespace ipcs::image
