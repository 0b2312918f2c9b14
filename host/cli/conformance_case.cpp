// The child's side of `ipcsctl plugin check`: a crash or a hang here costs one case.
#include "cli/conformance_case.hpp"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>

#include "ipcs/conformance.hpp"
#include "oci/digest.hpp"
#include "plugin/loader.hpp"
#include "plugin/trial_process.hpp"

namespace ipcs::cli {
namespace {

using nlohmann::json;

std::string digest_of(std::string_view algorithm, std::span<const uint8_t> bytes) {
  return oci::Digest::of(bytes, algorithm == "sha512" ? oci::Algorithm::kSha512 : oci::Algorithm::kSha256).to_string();
}

conformance::Subject subject_of(const json& request, const loader::LoadedPlugin& plugin) {
  conformance::Subject subject;
  subject.plugin = &plugin.table();
  subject.config_json = request.at("config");
  subject.other_config_json = request.at("other_config");
  subject.scratch_dir = request.at("scratch_dir");
  subject.digest = digest_of;
  subject.quirks.durable = request.at("durable");
  subject.quirks.read_only = request.at("read_only");
  if (const uint64_t bytes = request.at("large_blob"); bytes > 0) subject.quirks.large_blob = bytes;
  if (const uint64_t count = request.at("many_ingests"); count > 0) subject.quirks.many_ingests = count;
  return subject;
}

void run(const std::string& path, size_t index, int fd) {
  const auto failed = [&](const std::string& message) {
    loader::report_line(fd, {{"outcome", "failed"}, {"message", message}});
  };
  try {
    const json request = json::parse(std::cin);
    loader::report_line(fd, {{"at", "the plugin was loaded"}});
    const loader::LoadedPlugin plugin = loader::LoadedPlugin::load(path);
    const conformance::Subject subject = subject_of(request, plugin);
    loader::report_line(fd, {{"at", ""}});
    const conformance::Result result = conformance::run(subject, conformance::cases().at(index));
    loader::report_line(fd, {{"outcome", conformance::to_string(result.outcome)}, {"message", result.message}});
  } catch (const std::exception& e) {
    failed(e.what());
  } catch (...) {
    failed("an exception of unknown type came out of the plugin");
  }
}

}  // namespace

json to_json(const CaseRequest& request) {
  return {{"config", request.config_json},       {"other_config", request.other_config_json},
          {"scratch_dir", request.scratch_dir},  {"durable", request.durable},
          {"read_only", request.read_only},      {"large_blob", request.large_blob},
          {"many_ingests", request.many_ingests}};
}

std::vector<std::string> case_names() {
  std::vector<std::string> names;
  for (const conformance::Case& each : conformance::cases()) names.emplace_back(each.name);
  return names;
}

int case_main(int argc, char** argv) {
  const std::optional<int> index = argc == 5 ? loader::to_number(argv[3]) : std::nullopt;
  const std::optional<int> fd = argc == 5 ? loader::to_number(argv[4]) : std::nullopt;
  if (!index || !fd) {
    std::fputs("usage: ipcsctl plugin-case FILE INDEX FD < REQUEST.json\n", stderr);
    return 2;
  }
  loader::prepare_to_crash();
  run(argv[2], static_cast<size_t>(*index), *fd);
  // Neither the plugin's destructors nor its atexit handlers have a say in the result.
  ::_exit(0);
}

}  // namespace ipcs::cli
