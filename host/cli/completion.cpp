// All three scripts do the same: walk the words before the cursor to find the verb, then offer what it takes.
#include "cli/completion.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "cli/session.hpp"

namespace ipcs::cli {
namespace {

// A word that may come next, and what it means.
struct Word {
  std::string text, help;
};

// A flag as it is typed, and what its value may be.
struct Flag {
  Word word;
  bool takes_value;
  bool takes_file;                  // or a directory, or a socket
  std::vector<std::string> values;  // empty: a file, or anything
};

// A verb or a group of them.
struct Node {
  std::string path;  // "content ls"; empty for the program
  std::vector<Word> verbs;
  std::vector<std::string> values;  // of the first argument, where only some make sense
  bool takes_file = false;          // as one of its arguments
  std::vector<Flag> flags;          // with those of all verbs
};

// "table|json" → the two; nothing where there is only one word.
std::vector<std::string> alternatives(const std::string& type_name) {
  std::vector<std::string> words;
  size_t begin = 0;
  for (size_t bar; (bar = type_name.find('|', begin)) != std::string::npos; begin = bar + 1)
    words.push_back(type_name.substr(begin, bar - begin));
  if (begin > 0) words.push_back(type_name.substr(begin));
  return words;
}

// Whether files can be meant by what the help calls so.
bool is_file(const std::string& name) {
  static constexpr std::string_view kFiles[] = {"FILE", "DIR", "SOCKET", "SRC", "DST", "IMAGE", "PLUGIN"};
  return std::find(std::begin(kFiles), std::end(kFiles), name) != std::end(kFiles);
}

void add_flags(const CLI::App& app, std::vector<Flag>& flags) {
  for (const CLI::Option* option : app.get_options()) {
    const bool takes_value = option->get_items_expected_max() > 0;
    const auto add = [&](const std::string& text) {
      const bool known = std::any_of(flags.begin(), flags.end(), [&](const Flag& f) { return f.word.text == text; });
      if (!known)
        flags.push_back({{text, option->get_description()},
                         takes_value,
                         is_file(option->get_type_name()),
                         alternatives(option->get_type_name())});
    };
    for (const std::string& name : option->get_snames()) add("-" + name);
    for (const std::string& name : option->get_lnames()) add("--" + name);
  }
}

void walk(const CLI::App& app, const std::string& path, std::vector<Node>& nodes) {
  Node node;
  node.path = path;
  for (const CLI::App* each = &app; each != nullptr; each = each->get_parent()) add_flags(*each, node.flags);
  for (const CLI::Option* option : app.get_options()) {
    if (!option->get_positional()) continue;
    if (node.values.empty()) node.values = alternatives(option->get_type_name());
    node.takes_file = node.takes_file || is_file(option->get_single_name());
  }
  const auto verbs = app.get_subcommands([](const CLI::App*) { return true; });
  for (const CLI::App* verb : verbs) node.verbs.push_back({verb->get_name(), verb->get_description()});
  nodes.push_back(std::move(node));
  for (const CLI::App* verb : verbs)
    walk(*verb, path.empty() ? verb->get_name() : path + ' ' + verb->get_name(), nodes);
}

std::vector<Node> nodes_of(const CLI::App& app) {
  std::vector<Node> nodes;
  walk(app, {}, nodes);
  return nodes;
}

// Every flag of any verb that takes a value, once.
std::vector<Flag> value_flags(const std::vector<Node>& nodes) {
  std::vector<Flag> flags;
  for (const Node& node : nodes) {
    for (const Flag& flag : node.flags) {
      const bool known =
          std::any_of(flags.begin(), flags.end(), [&](const Flag& f) { return f.word.text == flag.word.text; });
      if (flag.takes_value && !known) flags.push_back(flag);
    }
  }
  return flags;
}

std::vector<Flag> of_files(std::vector<Flag> flags) {
  std::erase_if(flags, [](const Flag& flag) { return !flag.takes_file; });
  return flags;
}

std::string joined(const std::vector<Flag>& flags, std::string_view between) {
  std::vector<std::string> texts;
  for (const Flag& flag : flags) texts.push_back(flag.word.text);
  return fmt::format("{}", fmt::join(texts, between));
}

// In single quotes, as all three shells read them; `escape` is how a quote is written inside.
std::string quoted(const std::string& text, std::string_view escape) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') {
      out += escape;
    } else {
      out += c;
    }
  }
  return out + '\'';
}

// Lines of a shell's `case` for the verb's path.
std::string verb_paths(const std::vector<Node>& nodes) {
  std::vector<std::string> paths;
  for (const Node& node : nodes) {
    if (!node.path.empty()) paths.push_back(quoted(node.path, "'\\''"));
  }
  return fmt::format("{}", fmt::join(paths, "|"));
}

}  // namespace

std::string bash_completion(const CLI::App& app) {
  const std::vector<Node> nodes = nodes_of(app);
  const std::vector<Flag> with_value = value_flags(nodes);
  std::string text = fmt::format(R"(# bash completion for {0}; source it, or keep it as {0} in a completions directory
_{0}() {{
  local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}} verb= word skip=
  # "--flag=value" comes as three words
  if [[ $cur == = ]]; then cur=; elif [[ $prev == = ]]; then prev=${{COMP_WORDS[COMP_CWORD-2]}}; fi
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    if [[ $word == = ]]; then skip=1; continue; fi
    if [[ $skip ]]; then skip=; continue; fi
    case $word in
      {1}) skip=1; continue ;;
      -*) continue ;;
    esac
    case ${{verb:+$verb }}$word in
      {2}) verb=${{verb:+$verb }}$word ;;
    esac
  done
  case $prev in
)",
                                 app.get_name(), joined(with_value, "|"), verb_paths(nodes));
  for (const Flag& flag : with_value) {
    if (flag.values.empty()) continue;
    text += fmt::format("    {}) COMPREPLY=($(compgen -W '{}' -- \"$cur\")); return ;;\n", flag.word.text,
                        fmt::join(flag.values, " "));
  }
  text += fmt::format(
      "    {}) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n"
      "    {}) return ;;\n  esac\n  local words= files=\n  case $verb in\n",
      joined(of_files(with_value), "|"), joined(with_value, "|"));
  for (const Node& node : nodes) {
    std::vector<std::string> words = node.values;
    for (const Word& verb : node.verbs) words.push_back(verb.text);
    text += fmt::format("    {}) words='{}'{}\n      [[ $cur == -* ]] && words='{}' ;;\n", quoted(node.path, "'\\''"),
                        fmt::join(words, " "), node.takes_file ? " files=1" : "", joined(node.flags, " "));
  }
  text += fmt::format(R"(  esac
  if [[ $words ]]; then
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
  elif [[ $files ]]; then
    COMPREPLY=($(compgen -f -- "$cur"))
  fi
}}
complete -F _{0} {0}
)",
                      app.get_name());
  return text;
}

std::string zsh_completion(const CLI::App& app) {
  const std::vector<Node> nodes = nodes_of(app);
  const std::vector<Flag> with_value = value_flags(nodes);
  const auto described = [](const Word& word) {
    std::string text;
    for (const char c : word.text) text += c == ':' ? std::string("\\:") : std::string(1, c);
    return quoted(text + ':' + word.help, "'\\''");
  };
  std::string text = fmt::format(R"(#compdef {0}
# zsh completion for {0}; source it, or keep it as _{0} in a directory of $fpath
_{0}() {{
  local verb= word skip= prev=$words[CURRENT-1] cur=$words[CURRENT]
  for word in "${{(@)words[2,CURRENT-1]}}"; do
    if [[ -n $skip ]]; then skip=; continue; fi
    case $word in
      ({1}) skip=1; continue ;;
      (-*) continue ;;
    esac
    case "${{verb:+$verb }}$word" in
      ({2}) verb="${{verb:+$verb }}$word" ;;
    esac
  done
  case $prev in
)",
                                 app.get_name(), joined(with_value, "|"), verb_paths(nodes));
  for (const Flag& flag : with_value) {
    if (!flag.values.empty())
      text += fmt::format("    ({}) compadd {}; return ;;\n", flag.word.text, fmt::join(flag.values, " "));
  }
  text += fmt::format("    ({}) _files; return ;;\n    ({}) return ;;\n  esac\n  local -a verbs flags files\n  case \"$verb\" in\n",
                      joined(of_files(with_value), "|"), joined(with_value, "|"));
  for (const Node& node : nodes) {
    std::vector<std::string> verbs, flags;
    for (const std::string& value : node.values) verbs.push_back(quoted(value, "'\\''"));
    for (const Word& verb : node.verbs) verbs.push_back(described(verb));
    for (const Flag& flag : node.flags) flags.push_back(described(flag.word));
    text += fmt::format("    ({})\n      verbs=({})\n      files=({})\n      flags=({}) ;;\n", quoted(node.path, "'\\''"),
                        fmt::join(verbs, " "), node.takes_file ? "1" : "", fmt::join(flags, " "));
  }
  text += fmt::format(R"(  esac
  if [[ $cur == -* ]]; then
    _describe flag flags
  elif (( $#verbs )); then
    _describe verb verbs
  elif (( $#files )); then
    _files
  fi
}}
compdef _{0} {0}
)",
                      app.get_name());
  return text;
}

std::string fish_completion(const CLI::App& app) {
  const std::vector<Node> nodes = nodes_of(app);
  const std::string& name = app.get_name();
  std::string text =
      fmt::format(R"(# fish completion for {0}; source it, or keep it as {0}.fish in a completions directory
function __{0}_at
  set -l verb
  set -l skip no
  set -l words (commandline -opc)
  set -e words[1]
  for word in $words
    if test $skip = yes
      set skip no
      continue
    end
    switch $word
      case {1}
        set skip yes
        continue
      case '-*'
        continue
    end
    set -l longer (string join ' ' -- $verb $word)
    contains -- "$longer" {2}; and set verb "$longer"
  end
  test "$verb" = "$argv[1]"
end
complete -c {0} -f
)",
                  name, joined(value_flags(nodes), " "), [&] {
                    std::vector<std::string> paths;
                    for (const Node& node : nodes) {
                      if (!node.path.empty()) paths.push_back(quoted(node.path, "\\'"));
                    }
                    return fmt::format("{}", fmt::join(paths, " "));
                  }());
  for (const Node& node : nodes) {
    const std::string at = fmt::format("complete -c {} -n \"__{}_at '{}'\"", name, name, node.path);
    for (const Word& verb : node.verbs)
      text += fmt::format("{} -a {} -d {}\n", at, verb.text, quoted(verb.help, "\\'"));
    for (const std::string& value : node.values) text += fmt::format("{} -a {}\n", at, value);
    if (node.takes_file) text += at + " -F\n";
    for (const Flag& flag : node.flags) {
      const bool is_long = flag.word.text.starts_with("--");
      text += fmt::format("{} -{} {} -d {}", at, is_long ? 'l' : 's', flag.word.text.substr(is_long ? 2 : 1),
                          quoted(flag.word.help, "\\'"));
      if (!flag.values.empty()) text += fmt::format(" -x -a '{}'", fmt::join(flag.values, " "));
      if (flag.takes_value && flag.values.empty()) text += flag.takes_file ? " -r -F" : " -x";
      text += '\n';
    }
  }
  return text;
}

namespace {

struct CompletionArgs {
  std::string shell;
  const CLI::App* app;
};

int completion(Session& session, const CompletionArgs& args) {
  session.output.write(args.shell == "bash"  ? bash_completion(*args.app)
                       : args.shell == "zsh" ? zsh_completion(*args.app)
                                             : fish_completion(*args.app));
  return kOk;
}

}  // namespace

void add_completion(CLI::App& app, Choice& choice) {
  auto args = std::make_shared<CompletionArgs>();
  args->app = &app;
  add_verb(app, choice, "completion", "print a script with completions for a shell", completion, args)
      ->add_option("SHELL", args->shell, "to complete for")
      ->type_name("bash|zsh|fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}).description(""));
}

}  // namespace ipcs::cli
