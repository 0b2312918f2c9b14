// Work on all blobs that ipcsd reports on in a stream: its progress, and the blobs that are not as they should be.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "cli/session.hpp"
#include "ipcs/error.hpp"

namespace ipcs::cli {

// What was found so far. Table rows are printed as they come: the work may take hours.
class Findings {
 public:
  // `mends`: the work may mend what it finds, and rows say so.
  explicit Findings(Session& session, bool mends = false) : session_(session), mends_(mends) {}

  void add(const admin_api::Finding& finding);

  bool empty() const { return counts_.empty(); }
  const Json& json() const { return json_; }
  // "2 damaged, 1 missing".
  std::string summary() const;

 private:
  Session& session_;
  const bool mends_;
  std::map<std::string, uint64_t> counts_;
  Json json_ = Json::array();
};

// Follows the stream of one such call to its end, showing progress as `label`; returns the last message. Throws Error,
// also when the stream ends before the work was done; Interrupted.
template <class Response, class Start, class Message>
Response follow(Session& session, const std::string& label, Findings& findings, Start start, const Message& message) {
  admin_api::Admin::Stub& stub = session.connection.admin();
  const auto progress = session.progress(label);
  Connection::Request request(session.connection);
  const auto stream = (stub.*start)(request.context(), message);
  Response last;
  try {
    Response response;
    while (stream->Read(&response)) {
      if (response.findings_size() > 0) progress->clear();
      for (const admin_api::Finding& finding : response.findings()) findings.add(finding);
      progress->update(response.done_bytes(), response.total_bytes(), response.current());
      last.Swap(&response);
    }
  } catch (...) {
    request.cancel();
    stream->Finish();
    throw;
  }
  progress->clear();
  session.connection.check(stream->Finish());
  if (!last.finished()) throw Error(Code::kInternal, "ipcsd ended before the work was done: " + label);
  return last;
}

}  // namespace ipcs::cli
