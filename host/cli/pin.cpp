// `ipcsctl pin`: what the operator holds, so that no client's garbage collection takes it.
#include "cli/session.hpp"
#include "cli/text.hpp"

namespace ipcs::cli {
namespace {

struct AddArgs {
  std::vector<std::string> digests;
  std::string note;
};

int add(Session& session, const AddArgs& args) {
  return session.each(args.digests, [&](const std::string& digest) {
    admin_api::PinRequest request;
    request.set_digest(digest);
    request.set_note(args.note);
    session.connection.call<admin_api::PinResponse>(session.connection.admin(), &admin_api::Admin::Stub::Pin, request);
  });
}

struct RemoveArgs {
  std::vector<std::string> digests;
};

int remove(Session& session, const RemoveArgs& args) {
  return session.each(args.digests, [&](const std::string& digest) {
    admin_api::UnpinRequest request;
    request.set_digest(digest);
    session.connection.call<admin_api::UnpinResponse>(session.connection.admin(), &admin_api::Admin::Stub::Unpin,
                                                      request);
  });
}

struct NoArgs {};

int list(Session& session, const NoArgs&) {
  admin_api::Admin::Stub& stub = session.connection.admin();
  Connection::Request request(session.connection);
  const auto stream = stub.ListPins(request.context(), {});
  Json pins = Json::array();
  Table table({{"DIGEST"}, {"SIZE", Table::Align::kRight}, {"AGE"}, {"NOTE"}});
  admin_api::ListPinsResponse page;
  while (stream->Read(&page)) {
    for (const admin_api::PinnedBlob& pin : page.pins()) {
      if (session.json()) {
        pins.push_back({{"digest", pin.digest()},
                        {"size", pin.size()},
                        {"created_at", time_text(pin.created_ns())},
                        {"note", pin.note()}});
      } else if (session.flags.quiet) {
        session.output.line(pin.digest());
      } else {
        table.add(
            {pin.digest(), size_text(pin.size()), age_since(pin.created_ns()), pin.note().empty() ? "-" : pin.note()});
      }
    }
  }
  session.connection.check(stream->Finish());
  if (session.json()) {
    session.output.json(pins);
  } else if (!session.flags.quiet) {
    session.output.table(table);
  }
  return kOk;
}

}  // namespace

void add_pin(CLI::App& app, Choice& choice) {
  CLI::App* pin = app.add_subcommand("pin", "hold blobs for the operator");
  pin->require_subcommand(1);

  auto added = std::make_shared<AddArgs>();
  CLI::App* add_one = add_verb(*pin, choice, "add", "pin blobs", add, added);
  add_one->add_option("DIGEST", added->digests, "of a blob")->type_name("")->required()->check(is_digest());
  add_one->add_option("--note", added->note, "why, for whoever finds the pin later")
      ->type_name("TEXT")
      ->check(is_text());

  add_verb(*pin, choice, "ls", "list pins", list, std::make_shared<NoArgs>())->alias("list");

  auto removed = std::make_shared<RemoveArgs>();
  add_verb(*pin, choice, "rm", "drop pins; the bytes go when no client holds them", remove, removed)
      ->alias("delete")
      ->add_option("DIGEST", removed->digests, "of a blob")
      ->type_name("")
      ->required()
      ->check(is_digest());

  add_audit(*pin, choice);
}

}  // namespace ipcs::cli
