// Jobs and answers as JSON.
#include "diff/job.hpp"

#include <nlohmann/json.hpp>

namespace ipcs::diff {
namespace {

using nlohmann::json;

template <class Body>
auto guarded(const char* what, const std::string& text, Body body) {
  try {
    return body(json::parse(text));
  } catch (const json::exception&) {
    throw Error(Code::kInternal, std::string(what) + " can't be read");
  }
}

std::string dump(const json& value) { return value.dump(-1, ' ', false, json::error_handler_t::replace); }

// Paths are any bytes, which JSON text is not.
json to_bytes(const std::string& text) { return json(std::vector<uint8_t>(text.begin(), text.end())); }

std::string from_bytes(const json& value) {
  const auto bytes = value.get<std::vector<uint8_t>>();
  return std::string(bytes.begin(), bytes.end());
}

}  // namespace

std::string to_json(const Job& job) {
  json mounts = json::array();
  for (const Mount& mount : job.mounts) {
    json options = json::array();
    for (const std::string& option : mount.options) options.push_back(to_bytes(option));
    mounts.push_back({{"type", to_bytes(mount.type)},
                      {"source", to_bytes(mount.source)},
                      {"target", to_bytes(mount.target)},
                      {"options", options}});
  }
  return dump({{"mounts", mounts},
               {"mount_point", to_bytes(job.mount_point)},
               {"compressed", job.compressed},
               {"sync", job.sync},
               {"max_size", job.max_size},
               {"parent", job.parent}});
}

Job job_from_json(const std::string& text) {
  return guarded("the job", text, [](const json& from) {
    Job job;
    for (const json& mount : from.at("mounts")) {
      Mount& out = job.mounts.emplace_back();
      out.type = from_bytes(mount.at("type"));
      out.source = from_bytes(mount.at("source"));
      out.target = from_bytes(mount.at("target"));
      for (const json& option : mount.at("options")) out.options.push_back(from_bytes(option));
    }
    job.mount_point = from_bytes(from.at("mount_point"));
    job.compressed = from.at("compressed");
    job.sync = from.at("sync");
    job.max_size = from.at("max_size");
    job.parent = from.at("parent");
    return job;
  });
}

std::string to_json(const Answer& answer) {
  return dump({{"code", static_cast<int>(answer.code)},
               {"message", answer.message},
               {"digest", answer.digest},
               {"size", answer.size},
               {"entries", answer.entries},
               {"file_bytes", answer.file_bytes},
               {"warnings", answer.warnings},
               {"warning", answer.warning},
               {"decompress_seconds", answer.decompress_seconds},
               {"hash_seconds", answer.hash_seconds},
               {"write_seconds", answer.write_seconds}});
}

Answer answer_from_json(const std::string& text) {
  return guarded("the worker's answer", text, [](const json& from) {
    Answer answer;
    answer.code = static_cast<Code>(from.at("code").get<int>());
    answer.message = from.at("message");
    answer.digest = from.at("digest");
    answer.size = from.at("size");
    answer.entries = from.at("entries");
    answer.file_bytes = from.at("file_bytes");
    answer.warnings = from.at("warnings");
    answer.warning = from.at("warning");
    answer.decompress_seconds = from.at("decompress_seconds");
    answer.hash_seconds = from.at("hash_seconds");
    answer.write_seconds = from.at("write_seconds");
    return answer;
  });
}

}  // namespace ipcs::diff
