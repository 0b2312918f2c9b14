// `ipcsctl content`: blobs and ingests by containerd's Content service.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <optional>

#include "cli/session.hpp"
#include "cli/text.hpp"
#include "ipcs/error.hpp"

namespace ipcs::cli {
namespace {

Json to_json(const content_api::Info& info) {
  Json labels = Json::object();
  const std::map<std::string, std::string> sorted(info.labels().begin(), info.labels().end());
  for (const auto& [key, value] : sorted) labels[key] = value;
  return {{"digest", info.digest()},
          {"size", info.size()},
          {"created_at", time_text(to_ns(info.created_at()))},
          {"updated_at", time_text(to_ns(info.updated_at()))},
          {"labels", std::move(labels)}};
}

// "k=v,k=v" in the order of the keys, "-" when there are none.
std::string labels_text(const content_api::Info& info) {
  const std::map<std::string, std::string> sorted(info.labels().begin(), info.labels().end());
  std::string text;
  for (const auto& [key, value] : sorted) text += fmt::format("{}{}={}", text.empty() ? "" : ",", key, value);
  return text.empty() ? "-" : text;
}

content_api::Info find(Session& session, const std::string& digest) {
  content_api::InfoRequest request;
  request.set_digest(digest);
  return session.connection
      .call<content_api::InfoResponse>(session.connection.content(), &content_api::Content::Stub::Info, request)
      .info();
}

struct ListArgs {
  std::vector<std::string> filters;
};

int list(Session& session, const ListArgs& args) {
  content_api::ListContentRequest message;
  for (const std::string& filter : args.filters) message.add_filters(filter);
  content_api::Content::Stub& stub = session.connection.content();
  Connection::Request request(session.connection);
  const auto stream = stub.List(request.context(), message);
  Json blobs = Json::array();
  Table table({{"DIGEST"}, {"SIZE", Table::Align::kRight}, {"AGE"}, {"LABELS"}});
  content_api::ListContentResponse page;
  while (stream->Read(&page)) {
    for (const content_api::Info& info : page.info()) {
      if (session.json()) {
        blobs.push_back(to_json(info));
      } else if (session.flags.quiet) {
        session.output.line(info.digest());
      } else {
        table.add({info.digest(), size_text(static_cast<uint64_t>(info.size())), age_since(to_ns(info.created_at())),
                   labels_text(info)});
      }
    }
  }
  session.connection.check(stream->Finish());
  if (session.json()) {
    session.output.json(blobs);
  } else if (!session.flags.quiet) {
    session.output.table(table);
  }
  return kOk;
}

// Who holds a blob. Nothing where ipcsd is older and can't tell.
std::optional<admin_api::HoldersResponse> holders(Session& session, const std::string& digest) {
  admin_api::HoldersRequest request;
  request.set_digest(digest);
  try {
    return session.connection.call<admin_api::HoldersResponse>(session.connection.admin(),
                                                               &admin_api::Admin::Stub::Holders, request);
  } catch (const Error& e) {
    if (e.code() == Code::kUnimplemented) return std::nullopt;
    throw;
  }
}

// "client a", "clients a, b"; a name no longer configured may be any text.
std::string clients_text(const google::protobuf::RepeatedPtrField<std::string>& clients) {
  return fmt::format("{} {}", clients.size() == 1 ? "client" : "clients", fmt::join(clients, ", "));
}

constexpr char kOperator[] = "operator";  // among the owners of pins

// "the operator (pinned), owner image-1 (pinned), client a"; empty where nobody holds it.
std::string holders_text(const admin_api::HoldersResponse& holders) {
  std::vector<std::string> texts;
  for (const std::string& owner : holders.pin_owners()) {
    texts.push_back((owner == kOperator ? "the operator" : "owner " + owner) + " (pinned)");
  }
  if (holders.pinned() && texts.empty()) texts.emplace_back("the operator (pinned)");  // says an older ipcsd
  if (!holders.clients().empty()) texts.push_back(clients_text(holders.clients()));
  return fmt::format("{}", fmt::join(texts, ", "));
}

struct DigestArgs {
  std::string digest;
};

int info(Session& session, const DigestArgs& args) {
  const content_api::Info blob = find(session, args.digest);
  const auto held = holders(session, args.digest);
  if (session.json()) {
    Json json = to_json(blob);
    if (held)
      json["held_by"] = {{"pinned", held->pinned()},
                         {"pin_owners", std::vector<std::string>(held->pin_owners().begin(), held->pin_owners().end())},
                         {"clients", std::vector<std::string>(held->clients().begin(), held->clients().end())}};
    session.output.json(json);
    return kOk;
  }
  Table table({{""}, {""}});
  table.add({"digest:", blob.digest()});
  table.add({"size:", fmt::format("{} ({} bytes)", size_text(static_cast<uint64_t>(blob.size())), blob.size())});
  table.add({"created:", time_text(to_ns(blob.created_at()))});
  table.add({"updated:", time_text(to_ns(blob.updated_at()))});
  table.add({"labels:", labels_text(blob)});
  if (held) {
    const std::string text = holders_text(*held);
    table.add({"held by:", text.empty() ? "nobody" : text});
  }
  session.output.table(table);
  return kOk;
}

struct LabelArgs {
  std::string digest;
  std::vector<std::string> labels;
};

int label(Session& session, const LabelArgs& args) {
  content_api::UpdateRequest request;
  request.mutable_info()->set_digest(args.digest);
  for (const std::string& text : args.labels) {
    const size_t equals = text.find('=');
    const std::string key = text.substr(0, equals), value = text.substr(equals + 1);
    request.mutable_update_mask()->add_paths("labels." + key);
    if (!value.empty()) (*request.mutable_info()->mutable_labels())[key] = value;
  }
  const content_api::Info blob =
      session.connection
          .call<content_api::UpdateResponse>(session.connection.content(), &content_api::Content::Stub::Update, request)
          .info();
  if (session.json()) {
    session.output.json(to_json(blob));
  } else {
    session.output.line(labels_text(blob));
  }
  return kOk;
}

struct RemoveArgs {
  std::vector<std::string> digests;
};

// Whether the daemon has the blob.
bool stored(Session& session, const std::string& digest) {
  try {
    find(session, digest);
    return true;
  } catch (const Error& e) {
    if (e.code() == Code::kNotFound) return false;
    if (e.code() == Code::kDataLoss) return true;
    throw;
  }
}

int remove(Session& session, const RemoveArgs& args) {
  Json removed = Json::array();
  const int result = session.each(args.digests, [&](const std::string& digest) {
    // Delete has no error for what is not there; and a pin may stand for a blob whose bytes are lost.
    const bool was_stored = stored(session, digest);
    if (was_stored) {
      content_api::DeleteContentRequest request;
      request.set_digest(digest);
      session.connection.call<google::protobuf::Empty>(session.connection.content(),
                                                       &content_api::Content::Stub::Delete, request);
    } else {
      admin_api::UnpinRequest request;
      request.set_digest(digest);
      try {
        session.connection.call<admin_api::UnpinResponse>(session.connection.admin(), &admin_api::Admin::Stub::Unpin,
                                                          request);
      } catch (const Error& e) {
        if (e.code() != Code::kNotFound) throw;
        throw Error(Code::kNotFound, fmt::format("content {}: not found", digest));
      }
    }
    const bool kept = was_stored && stored(session, digest);
    Json clients = Json::array(), owners = Json::array();
    if (kept) {
      const auto held = holders(session, digest);
      const std::string who = held ? holders_text(*held) : std::string();
      const int count = held ? held->clients_size() + held->pin_owners_size() : 0;
      session.tell(fmt::format("{}: {} still {} it, so its bytes stay", digest, who.empty() ? "a client" : who,
                               count > 1 ? "hold" : "holds"));
      if (held) {
        clients = std::vector<std::string>(held->clients().begin(), held->clients().end());
        owners = std::vector<std::string>(held->pin_owners().begin(), held->pin_owners().end());
      }
    }
    if (session.json()) {
      removed.push_back({{"digest", digest}, {"kept", kept}, {"clients", clients}, {"pin_owners", owners}});
    } else {
      session.output.line(digest);
    }
  });
  if (session.json()) session.output.json(removed);
  return result;
}

struct ActiveArgs {
  std::vector<std::string> filters;
  std::string prefix;  // refs begin with it
};

int active(Session& session, const ActiveArgs& args) {
  content_api::ListStatusesRequest request;
  for (const std::string& filter : args.filters) request.add_filters(filter);
  const auto response = session.connection.call<content_api::ListStatusesResponse>(
      session.connection.content(), &content_api::Content::Stub::ListStatuses, request);
  Json ingests = Json::array();
  Table table({{"REF"}, {"SIZE", Table::Align::kRight}, {"TOTAL", Table::Align::kRight}, {"AGE"}});
  for (const content_api::Status& status : response.statuses()) {
    if (!status.ref().starts_with(args.prefix)) continue;
    if (session.json()) {
      ingests.push_back({{"ref", status.ref()},
                         {"offset", status.offset()},
                         {"total", status.total()},
                         {"expected", status.expected()},
                         {"started_at", time_text(to_ns(status.started_at()))},
                         {"updated_at", time_text(to_ns(status.updated_at()))}});
    } else if (session.flags.quiet) {
      session.output.line(status.ref());
    } else {
      table.add({status.ref(), size_text(static_cast<uint64_t>(status.offset())),
                 status.total() > 0 ? size_text(static_cast<uint64_t>(status.total())) : "-",
                 age_since(to_ns(status.started_at()))});
    }
  }
  if (session.json()) {
    session.output.json(ingests);
  } else if (!session.flags.quiet) {
    session.output.table(table);
  }
  return kOk;
}

struct AbortArgs {
  std::vector<std::string> refs;
};

int abort(Session& session, const AbortArgs& args) {
  return session.each(args.refs, [&](const std::string& ref) {
    // Abort has no error for what is not there.
    content_api::StatusRequest known;
    known.set_ref(ref);
    session.connection.call<content_api::StatusResponse>(session.connection.content(),
                                                         &content_api::Content::Stub::Status, known);
    content_api::AbortRequest request;
    request.set_ref(ref);
    session.connection.call<google::protobuf::Empty>(session.connection.content(), &content_api::Content::Stub::Abort,
                                                     request);
  });
}

CLI::Validator is_label() {
  return CLI::Validator(
      [](std::string& text) {
        const size_t equals = text.find('=');
        return equals == std::string::npos || equals == 0
                   ? fmt::format("\"{}\" is no label: it wants KEY=VALUE, or KEY= to remove one", printable(text))
                   : std::string();
      },
      "", "label");
}

}  // namespace

void add_content(CLI::App& app, Choice& choice) {
  CLI::App* content = app.add_subcommand("content", "list, read, write and remove blobs");
  content->require_subcommand(1);

  auto ls = std::make_shared<ListArgs>();
  add_verb(*content, choice, "ls", "list blobs; of several filters any may match", list, ls)
      ->alias("list")
      ->add_option("FILTER", ls->filters, "e.g. 'labels.k==v,digest~=^sha256:ab'")
      ->type_name("")
      ->check(is_text());
  add_transfer(*content, choice);

  auto current = std::make_shared<ActiveArgs>();
  CLI::App* active_verb = add_verb(*content, choice, "active", "list ingests that are not committed", active, current);
  active_verb->add_option("--prefix", current->prefix, "only refs that begin with this")->type_name("PREFIX");
  active_verb->add_option("FILTER", current->filters, "e.g. 'ref~=layer'")->type_name("")->check(is_text());

  auto aborted = std::make_shared<AbortArgs>();
  add_verb(*content, choice, "abort", "drop ingests with their bytes", abort, aborted)
      ->add_option("REF", aborted->refs, "as `content active` lists them")
      ->type_name("")
      ->check(is_text())
      ->required();

  auto labels = std::make_shared<LabelArgs>();
  CLI::App* label_verb =
      add_verb(*content, choice, "label", "set labels of a blob; an empty value removes one", label, labels);
  label_verb->add_option("DIGEST", labels->digest, "of the blob")->type_name("")->required()->check(is_digest());
  label_verb->add_option("LABEL", labels->labels, "KEY=VALUE")
      ->type_name("")
      ->required()
      ->check(is_text())
      ->check(is_label());

  auto shown = std::make_shared<DigestArgs>();
  add_verb(*content, choice, "info", "show a blob's size, times and labels", info, shown)
      ->add_option("DIGEST", shown->digest, "of the blob")
      ->type_name("")
      ->required()
      ->check(is_digest());

  auto removed = std::make_shared<RemoveArgs>();
  add_verb(*content, choice, "rm", "drop the operator's hold on blobs; the bytes go when no client holds them", remove,
           removed)
      ->alias("delete")
      ->alias("del")
      ->alias("remove")
      ->add_option("DIGEST", removed->digests, "of a blob")
      ->type_name("")
      ->required()
      ->check(is_digest());
}

}  // namespace ipcs::cli
