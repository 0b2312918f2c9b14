// Arguments in, answers out.
#include "kubo/rpc.hpp"

#include <nlohmann/json.hpp>

#include "ipld/dag_pb.hpp"

namespace ipcs::kubo {
namespace {

using nlohmann::json;

Error strange(const Client& client, const std::string& command, const json& answer) {
  return Error(Code::kInternal, "Kubo at " + client.where() + ": " + command + ": the answer makes no sense: " +
                                    one_line(answer.dump(-1, ' ', true, json::error_handler_t::replace)));
}

uint64_t number(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number_unsigned() ? found->get<uint64_t>() : 0;
}
std::string text(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// Whether "sync" is false in any part of a datastore's description.
std::optional<bool> find_sync(const json& node, int depth) {
  if (depth > 16) return std::nullopt;
  std::optional<bool> found;
  if (node.is_object()) {
    if (const auto sync = node.find("sync"); sync != node.end() && sync->is_boolean()) found = sync->get<bool>();
  }
  if (node.is_structured()) {
    for (const json& part : node) {
      if (const auto below = find_sync(part, depth + 1); below && found.value_or(true)) found = below;
    }
  }
  return found;
}

bool is_not_found(const Error& e) { return e.code() == Code::kNotFound; }

}  // namespace

std::string Rpc::version(const plugin::Call& call) {
  const json answer = client_.post(call, "version").json(call);
  if (!answer.is_object() || text(answer, "Version").empty()) throw strange(client_, "version", answer);
  return one_line(text(answer, "Version"));
}

std::optional<bool> Rpc::syncs(const plugin::Call& call) {
  const json answer = client_.post(call, "config", {{"arg", "Datastore.Spec"}}).json(call);
  return answer.is_object() && answer.contains("Value") ? find_sync(answer["Value"], 0) : std::nullopt;
}

RepoStat Rpc::repo_stat(const plugin::Call& call) {
  const json answer = client_.post(call, "repo/stat", {{"size-only", "true"}}).json(call);
  if (!answer.is_object()) throw strange(client_, "repo/stat", answer);
  return {number(answer, "RepoSize"), number(answer, "StorageMax")};
}

ipld::Bytes Rpc::block_get(const plugin::Call& call, const ipld::Cid& cid, Reach reach) {
  Arguments arguments{{"arg", cid.to_string()}};
  if (reach == Reach::kLocal) arguments.emplace_back("offline", "true");
  Answer answer = client_.post(call, "block/get", arguments);
  ipld::Bytes block(384 << 10);  // most blocks are 256 KiB and a little more
  size_t size = 0;
  for (;;) {
    if (size == block.size()) {
      if (size > ipld::kMaxBlockSize)
        throw Error(Code::kDataLoss, "Kubo at " + where() + ": block " + cid.to_string() + ": is larger than a block may be");
      block.resize(std::min(block.size() * 2, ipld::kMaxBlockSize + 1));
    }
    const size_t count = answer.read(call, std::span(block).subspan(size));
    if (count == 0) break;
    size += count;
  }
  block.resize(size);
  return block;
}

bool Rpc::block_has(const plugin::Call& call, const ipld::Cid& cid) {
  try {
    client_.post(call, "block/stat", {{"arg", cid.to_string()}, {"offline", "true"}}).text(call, 64 << 10);
    return true;
  } catch (const Error& e) {
    if (is_not_found(e)) return false;
    throw;
  }
}

Answer Rpc::cat(const plugin::Call& call, const ipld::Cid& root, uint64_t offset, uint64_t length) {
  return client_.post(call, "cat", {{"arg", root.to_string()}, {"offset", std::to_string(offset)},
                                    {"length", std::to_string(length)}, {"progress", "false"}});
}

void Rpc::dag_import(const plugin::Call& call, const Pieces& car, bool pin) {
  const std::string answer =
      client_.post_file(call, "dag/import", {{"pin-roots", pin ? "true" : "false"}, {"stats", "true"}}, car)
          .text(call, 1 << 20);
  // One object a line: a root each with a message where its pin failed, and the count, without which it did not end.
  bool ended = false;
  size_t begin = 0;
  while (begin < answer.size()) {
    const size_t end = std::min(answer.find('\n', begin), answer.size());
    const std::string_view line(answer.data() + begin, end - begin);
    begin = end + 1;
    if (line.empty()) continue;
    const json parsed = json::parse(line, nullptr, false);
    if (!parsed.is_object()) throw strange(client_, "dag/import", std::string(line));
    if (const auto root = parsed.find("Root"); root != parsed.end() && root->is_object()) {
      if (const std::string message = text(*root, "PinErrorMsg"); !message.empty())
        throw Error(code_of(message), "Kubo at " + where() + ": dag/import: a pin failed: " + one_line(message));
    }
    if (parsed.contains("Stats")) ended = true;
  }
  if (!ended) throw strange(client_, "dag/import", answer);
}

Answer Rpc::dag_export(const plugin::Call& call, const ipld::Cid& root, Reach reach) {
  Arguments arguments{{"arg", root.to_string()}, {"progress", "false"}};
  if (reach == Reach::kLocal) arguments.emplace_back("offline", "true");
  return client_.post(call, "dag/export", arguments);
}

std::vector<ipld::Cid> Rpc::pins(const plugin::Call& call) {
  const json answer = client_.post(call, "pin/ls", {{"type", "recursive"}}).json(call, 256 << 20);
  if (!answer.is_object()) throw strange(client_, "pin/ls", answer);
  const auto keys = answer.find("Keys");
  std::vector<ipld::Cid> cids;
  if (keys == answer.end() || !keys->is_object()) return cids;
  for (const auto& [text, pin] : keys->items()) {
    if (auto cid = ipld::Cid::try_parse(text)) cids.push_back(*std::move(cid));
  }
  return cids;
}

void Rpc::unpin(const plugin::Call& call, const ipld::Cid& cid) {
  try {
    client_.post(call, "pin/rm", {{"arg", cid.to_string()}}).text(call, 1 << 20);
  } catch (const Error& e) {
    if (!is_not_found(e)) throw;
  }
}

bool Rpc::is_pinned(const plugin::Call& call, const ipld::Cid& cid) {
  try {
    client_.post(call, "pin/ls", {{"arg", cid.to_string()}, {"type", "recursive"}}).text(call, 1 << 20);
    return true;
  } catch (const Error& e) {
    if (is_not_found(e)) return false;
    throw;
  }
}

void Rpc::mfs_link(const plugin::Call& call, const ipld::Cid& root, const std::string& path) {
  // Without the network: a root that Kubo lacks is an error and no search.
  client_
      .post(call, "files/cp",
            {{"arg", "/ipfs/" + root.to_string()}, {"arg", path}, {"parents", "true"}, {"force", "true"}, {"offline", "true"}})
      .text(call, 64 << 10);
}

std::optional<Entry> Rpc::mfs_stat(const plugin::Call& call, const std::string& path) {
  try {
    const json answer = client_.post(call, "files/stat", {{"arg", path}}).json(call);
    if (!answer.is_object()) throw strange(client_, "files/stat", answer);
    return Entry{path, number(answer, "Size"), text(answer, "Type") == "directory", ipld::Cid::try_parse(text(answer, "Hash"))};
  } catch (const Error& e) {
    if (is_not_found(e)) return std::nullopt;
    throw;
  }
}

std::vector<Entry> Rpc::mfs_list(const plugin::Call& call, const std::string& path) {
  std::vector<Entry> entries;
  try {
    const json answer = client_.post(call, "files/ls", {{"arg", path}, {"long", "true"}, {"U", "true"}}).json(call, 256 << 20);
    if (!answer.is_object()) throw strange(client_, "files/ls", answer);
    const auto list = answer.find("Entries");
    if (list == answer.end() || !list->is_array()) return entries;
    for (const json& entry : *list) {
      if (entry.is_object())
        entries.push_back({text(entry, "Name"), number(entry, "Size"), number(entry, "Type") == 1,
                           ipld::Cid::try_parse(text(entry, "Hash"))});
    }
  } catch (const Error& e) {
    if (!is_not_found(e)) throw;
  }
  return entries;
}

bool Rpc::mfs_remove(const plugin::Call& call, const std::string& path) {
  try {
    client_.post(call, "files/rm", {{"arg", path}}).text(call, 64 << 10);
    return true;
  } catch (const Error&) {
    // Of what is not there Kubo says so in the answer's body, and behind it only that not all could be removed.
    if (!mfs_stat(call, path)) return false;
    throw;
  }
}

void Rpc::mfs_move(const plugin::Call& call, const std::string& from, const std::string& to) {
  client_.post(call, "files/mv", {{"arg", from}, {"arg", to}}).text(call, 64 << 10);
}

void Rpc::mfs_make_directory(const plugin::Call& call, const std::string& path) {
  client_.post(call, "files/mkdir", {{"arg", path}, {"parents", "true"}}).text(call, 64 << 10);
}

void Rpc::mfs_write(const plugin::Call& call, const std::string& path, const std::string& content) {
  const std::span<const uint8_t> bytes(reinterpret_cast<const uint8_t*>(content.data()), content.size());
  client_
      .post_file(call, "files/write", {{"arg", path}, {"create", "true"}, {"parents", "true"}, {"truncate", "true"}},
                 {bytes})
      .text(call, 64 << 10);
}

std::optional<std::string> Rpc::mfs_read(const plugin::Call& call, const std::string& path, size_t limit) {
  try {
    return client_.post(call, "files/read", {{"arg", path}, {"count", std::to_string(limit)}}).text(call, limit);
  } catch (const Error& e) {
    if (is_not_found(e)) return std::nullopt;
    throw;
  }
}

}  // namespace ipcs::kubo
