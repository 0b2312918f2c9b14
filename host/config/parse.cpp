// From the text of a file to settings.
#include <fmt/format.h>
#include <unistd.h>

#include <functional>
#include <set>

#include "config/config.hpp"
#include "config/plugin_table.hpp"
#include "config/table.hpp"
#include "config/values.hpp"
#include "ipcs/error.hpp"

namespace ipcs::config {
namespace {

constexpr int64_t kVersion = 1;

Adopt to_adopt(std::string_view text) {
  if (text == "operator") return Adopt::kOperator;
  if (text == "containerd") return Adopt::kContainerd;
  throw Error(Code::kInvalidArgument, "wants \"operator\" or \"containerd\", not " + in_quotes(text));
}

// Reads the table under `key` when there is one.
void read_table(Table& parent, std::string_view key, Problems& problems, const std::function<void(Table&)>& body) {
  const toml::node* node = parent.find(key);
  if (node == nullptr) return;
  if (const toml::table* inner = node->as_table()) {
    Table table(*inner, parent.line(key), problems);
    body(table);
    table.finish();
  } else {
    parent.wrong(key, fmt::format("wants a table, not {}", kind_of(*node)));
  }
}

// A user or group: a name, or a number from 0.
template <class Id>
std::optional<Id> read_id(Table& table, std::string_view key, Id (*by_name)(std::string_view)) {
  const toml::node* node = table.find(key);
  if (node == nullptr) return std::nullopt;
  if (node->is_string()) return table.string(key, by_name);
  const auto* number = node->as_integer();
  if (number != nullptr && number->get() >= 0 && number->get() < static_cast<int64_t>(static_cast<Id>(-1)))
    return static_cast<Id>(number->get());
  table.wrong(key, number != nullptr ? fmt::format("wants an id from 0 to 4294967294, not {}", number->get())
                                     : fmt::format("wants an id or a name, not {}", kind_of(*node)));
  return std::nullopt;
}

void read_mode(Table& table, mode_t& mode) {
  constexpr std::string_view kKey = "mode";
  const toml::node* node = table.find(kKey);
  if (node == nullptr) return;
  if (node->is_string()) {
    if (const auto value = table.string(kKey, to_mode)) mode = *value;
    return;
  }
  const auto* number = node->as_integer();
  if (number == nullptr) {
    table.wrong(kKey, fmt::format("wants a string, \"0660\", or an octal number, 0o660, not {}", kind_of(*node)));
  } else if ((number->flags() & toml::value_flags::format_as_octal) == toml::value_flags::none) {
    // 660 would be read as 0o1224: nobody means that.
    table.wrong(kKey,
                fmt::format("wants octal permissions, \"0660\" or 0o660, not the decimal number {}", number->get()));
  } else if (number->get() < 0 || number->get() > 0777) {
    table.wrong(kKey, fmt::format("wants octal permissions of at most 0777, not 0o{:o}", number->get()));
  } else {
    mode = static_cast<mode_t>(number->get());
  }
}

// The keys that every socket has.
Socket read_socket(Table& table) {
  Socket socket;
  socket.address = table.string("address", to_socket_path).value_or("");
  socket.uid = read_id<uid_t>(table, "uid", to_uid);
  socket.gid = read_id<gid_t>(table, "gid", to_gid);
  read_mode(table, socket.mode);
  return socket;
}

void read_client(Table& table, Settings& settings) {
  const toml::node* address = table.find("address");
  const toml::node* name = table.find("name");
  if (address == nullptr) table.wrong("address", "is missing in this [[grpc]]");
  Socket socket = read_socket(table);
  const auto given = table.string("name", to_client_name);
  socket.name = given.value_or(name == nullptr ? std::string(kDefaultClient) : "");
  for (const Socket& other : settings.grpc) {
    if (!socket.name.empty() && other.name == socket.name)
      table.wrong("name", fmt::format("is {} in two [[grpc]] tables", in_quotes(socket.name)));
    if (!socket.address.empty() && other.address == socket.address)
      table.wrong("address", fmt::format("is {} in two [[grpc]] tables", in_quotes(socket.address)));
  }
  settings.grpc.push_back(std::move(socket));
}

void read_clients(Table& file, Settings& settings, Problems& problems) {
  const toml::node* node = file.find("grpc");
  if (node == nullptr) return;
  const toml::array* array = node->as_array();
  if (array == nullptr) {
    file.wrong("grpc", fmt::format("wants [[grpc]] tables, with two brackets, not {}", kind_of(*node)));
    return;
  }
  for (const toml::node& element : *array) {
    if (const toml::table* inner = element.as_table()) {
      Table table(*inner, element.source().begin.line, problems);
      read_client(table, settings);
      table.finish();
    } else {
      file.wrong("grpc", fmt::format("wants [[grpc]] tables, not an array with {}", kind_of(element)));
    }
  }
}

void read_plugins(Table& file, Settings& settings, Problems& problems) {
  const toml::node* node = file.find("plugins");
  if (node == nullptr) return;
  if (!node->is_table()) {
    file.wrong("plugins", fmt::format("wants a table, not {}", kind_of(*node)));
    return;
  }
  for (const auto& [key, value] : *node->as_table()) {
    const size_t line = key.source().begin.line;
    const std::string name = "plugins." + std::string(key.str());
    try {
      const std::string plugin = to_plugin_name(key.str());
      if (const toml::table* inner = value.as_table()) {
        settings.plugins[plugin] = plugin_table_json(*inner, name, problems);
      } else {
        problems.add(line, fmt::format("{} wants a table, not {}", in_quotes(name), kind_of(value)));
      }
    } catch (const Error& error) {
      problems.add(line, fmt::format("a table of [plugins] {}", error.what()));
    }
  }
}

// Apply writes wherever the mounts of its request lead: who can connect is root.
void read_diff(Table& table, Settings& settings) {
  Socket socket;
  settings.diff_address =
      table.string("address", [](std::string_view text) { return text.empty() ? std::string() : to_socket_path(text); });
  socket.uid = read_id<uid_t>(table, "uid", to_uid);
  read_mode(table, socket.mode);
  settings.diff_max_size = table.string("max_size", to_size);
  constexpr std::string_view kWhy = "whoever can connect to the diff socket can write to any file of this machine";
  if ((socket.mode & 077) != 0)
    table.wrong("mode", fmt::format("lets group or world connect, but {}: it must be 0600", kWhy));
  if (socket.uid && *socket.uid != ::geteuid())
    table.wrong("uid", fmt::format("gives the socket to another user, but {}", kWhy));
}

// Says whether the file is of a version that this program reads.
bool read_version(Table& file) {
  const toml::node* node = file.find("version");
  if (node == nullptr) {
    file.wrong("version", "is missing: begin the file with version = 1");
  } else if (!node->is_integer()) {
    file.wrong("version", fmt::format("wants the number 1, not {}", kind_of(*node)));
  } else if (const int64_t version = node->as_integer()->get(); version != kVersion) {
    file.wrong("version", fmt::format("is {}, but this program reads version {}", version, kVersion));
    return false;
  }
  return true;
}

void read_file(Table& file, Settings& settings, Problems& problems) {
  settings.root = file.string("root", to_path);
  if (const auto dirs = file.strings("plugin_dirs")) {
    file.attempt("plugin_dirs", [&] {
      settings.plugin_dirs.emplace();
      for (const std::string& dir : *dirs) settings.plugin_dirs->push_back(to_path(dir));
    });
  }
  settings.backend = file.string("backend", to_plugin_name);
  settings.previous = file.string("previous", to_plugin_name);
  settings.adopt = file.string("adopt", to_adopt);
  settings.look_up_timeout = file.string("look_up_timeout", to_look_up_timeout);
  settings.copy_rate = file.string("copy_rate", to_size);
  read_clients(file, settings, problems);
  read_table(file, "control", problems, [&](Table& table) {
    settings.control = read_socket(table);
    settings.control->name = kOperatorClient;
  });
  read_table(file, "diff", problems, [&](Table& table) { read_diff(table, settings); });
  read_table(file, "metrics", problems,
             [&](Table& table) { settings.metrics_address = table.string("address", to_host_port); });
  read_table(file, "trace", problems,
             [&](Table& table) { settings.trace_address = table.string("address", to_host_port); });
  read_table(file, "log", problems, [&](Table& table) {
    settings.log_level = table.string("level", to_level);
    settings.log_format = table.string("format", to_format);
  });
  read_plugins(file, settings, problems);
}

}  // namespace

Settings parse(std::string_view text, const std::string& file_name) {
  const toml::table root = parse_toml(text, file_name);
  Problems problems(file_name);
  Settings settings;
  Table file(root, 0, problems);
  // The keys of another version are anybody's guess, so only the version is a problem then.
  if (read_version(file)) {
    read_file(file, settings, problems);
    file.finish();
  }
  problems.throw_if_any();
  return settings;
}

}  // namespace ipcs::config
