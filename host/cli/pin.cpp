// `ipcsctl pin`: what the operator holds, so that no client's garbage collection takes it.
#include "cli/session.hpp"
#include "cli/text.hpp"

namespace ipcs::cli {
namespace {

struct AddArgs {
  std::vector<std::string> digests;
  std::string note;
  std::string owner;
};

int add(Session& session, const AddArgs& args) {
  return session.each(args.digests, [&](const std::string& digest) {
    admin_api::PinRequest request;
    request.set_digest(digest);
    request.set_note(args.note);
    request.set_owner(args.owner);
    session.connection.call<admin_api::PinResponse>(session.connection.admin(), &admin_api::Admin::Stub::Pin, request);
  });
}

struct RemoveArgs {
  std::vector<std::string> digests;
  std::string owner;
  bool all = false;
};

int remove(Session& session, const RemoveArgs& args) {
  return session.each(args.digests, [&](const std::string& digest) {
    admin_api::UnpinRequest request;
    request.set_digest(digest);
    request.set_owner(args.owner);
    request.set_all(args.all);
    session.connection.call<admin_api::UnpinResponse>(session.connection.admin(), &admin_api::Admin::Stub::Unpin,
                                                      request);
  });
}

struct ListArgs {
  std::string owner;  // empty: everybody's
};

int list(Session& session, const ListArgs& args) {
  admin_api::Admin::Stub& stub = session.connection.admin();
  Connection::Request request(session.connection);
  const auto stream = stub.ListPins(request.context(), {});
  Json pins = Json::array();
  Table table({{"DIGEST"}, {"SIZE", Table::Align::kRight}, {"AGE"}, {"OWNER"}, {"NOTE"}});
  admin_api::ListPinsResponse page;
  std::string last;  // a blob of several owners is one line of --quiet
  while (stream->Read(&page)) {
    for (const admin_api::PinnedBlob& pin : page.pins()) {
      if (!args.owner.empty() && pin.owner() != args.owner) continue;
      if (session.json()) {
        pins.push_back({{"digest", pin.digest()},
                        {"size", pin.size()},
                        {"created_at", time_text(pin.created_ns())},
                        {"owner", pin.owner()},
                        {"note", pin.note()}});
      } else if (session.flags.quiet) {
        if (pin.digest() != last) session.output.line(pin.digest());
        last = pin.digest();
      } else {
        table.add({pin.digest(), size_text(pin.size()), age_since(pin.created_ns()), pin.owner(),
                   pin.note().empty() ? "-" : pin.note()});
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
  CLI::App* pin = app.add_subcommand("pin", "hold blobs for the operator and his tools");
  pin->require_subcommand(1);

  auto added = std::make_shared<AddArgs>();
  CLI::App* add_one = add_verb(*pin, choice, "add", "pin blobs", add, added);
  add_one->add_option("DIGEST", added->digests, "of a blob")->type_name("")->required()->check(is_digest());
  add_one->add_option("--note", added->note, "why, for whoever finds the pin later")
      ->type_name("TEXT")
      ->check(is_text());

  add_one->add_option("--owner", added->owner, "for a tool of this name; without it the pin is yours")
      ->type_name("NAME")
      ->check(is_text());

  auto listed = std::make_shared<ListArgs>();
  CLI::App* list_all = add_verb(*pin, choice, "ls", "list pins", list, listed);
  list_all->alias("list");
  list_all->add_option("--owner", listed->owner, "only those of this owner; \"operator\": yours")
      ->type_name("NAME")
      ->check(is_text());

  auto removed = std::make_shared<RemoveArgs>();
  CLI::App* remove_one =
      add_verb(*pin, choice, "rm", "drop your pins; the bytes go when no client and no other owner holds them", remove,
               removed);
  remove_one->alias("delete");
  remove_one->add_option("DIGEST", removed->digests, "of a blob")->type_name("")->required()->check(is_digest());
  CLI::Option* owner = remove_one->add_option("--owner", removed->owner, "this owner's instead of yours")
                           ->type_name("NAME")
                           ->check(is_text());
  remove_one->add_flag("--all", removed->all, "those of all owners, also of a run that is under way")->excludes(owner);

  add_audit(*pin, choice);
}

}  // namespace ipcs::cli
