// `ipcsctl cid`: the CIDs that `ipfs add --only-hash` would print, without a daemon.
#include "cli/cid.hpp"

#include <fmt/format.h>

#include <filesystem>

#include "cli/session.hpp"
#include "cli/text.hpp"
#include "ipcs/error.hpp"

namespace ipcs::cli {
namespace {

struct CidArgs {
  std::vector<std::string> files;
  CidFlags flags;
  FileTree::Options walk;
  std::string base, stdin_name;
  bool wrap = false, last_only = false;
  bool only_hash = true;  // whatever is said
  std::optional<std::string> not_offered;
};

// Flags of `ipfs add` that change the CID but that are not offered here; all others that it knows are unknown.
struct NotOffered {
  const char* flag;
  const char* why;
};
constexpr NotOffered kNotOffered[] = {
    {"-t,--trickle", "the trickle layout"},
    {"--nocopy", "the filestore"},
    {"--preserve-mode", "a file's mode"},
    {"--preserve-mtime", "a file's time"},
    {"--dereference-args", "following of symbolic links"},
    {"--dereference-symlinks", "following of symbolic links"},
};
constexpr NotOffered kNotOfferedValues[] = {
    {"--mode", "a file's mode"},
    {"--mtime", "a file's time"},
    {"--mtime-nsecs", "a file's time"},
    {"--ignore", "leaving out files by rules"},
    {"--ignore-rules-path", "leaving out files by rules"},
    {"--max-directory-links", "another limit for directories"},
    {"--max-hamt-fanout", "another limit for directories"},
};

struct Result {
  std::string name;
  ipld::Subtree root;
};

// In the base that was asked for; as in Kubo, one that v0 can't be written in makes it version 1.
std::string text_of(const ipld::Cid& cid, const std::string& base) {
  if (base.empty()) return cid.to_string();
  const ipld::Base wanted = ipld::parse_base(base);
  return (wanted == ipld::Base::kBase58Btc ? cid : cid.to_v1()).to_string(wanted);
}

std::string entry_name(const CidArgs& args, const Result& result) {
  if (result.name == "-") return args.stdin_name.empty() ? text_of(result.root.cid, "") : args.stdin_name;
  std::filesystem::path path = std::filesystem::path(result.name).lexically_normal();
  if (path.filename().empty()) path = path.parent_path();
  const std::string name = path.filename().string();
  if (name.empty() || name == "." || name == "..")
    throw Error(Code::kInvalidArgument, fmt::format("{}: -w needs a path that ends with a name", result.name));
  return name;
}

void print(Session& session, const CidArgs& args, const std::vector<Result>& results) {
  if (session.json()) {
    Json list = Json::array();
    for (const Result& result : results)
      list.push_back(
          {{"cid", text_of(result.root.cid, args.base)}, {"name", result.name}, {"size", result.root.file_size}});
    session.output.json(list);
    return;
  }
  for (const Result& result : results) {
    const std::string cid = text_of(result.root.cid, args.base);
    const bool bare = session.flags.quiet || args.last_only;
    session.output.line(bare ? cid : fmt::format("{} {}", cid, printable(result.name)));
  }
}

int cid(Session& session, const CidArgs& args) {
  ipld::Profile profile;
  try {
    if (args.not_offered) throw Error(Code::kUnimplemented, *args.not_offered);
    profile = profile_of(args.flags);
    if (!args.base.empty()) ipld::parse_base(args.base);
  } catch (const Error& e) {
    complain(fmt::format("cid: {}", e.what()));
    return kUsage;
  }
  ipld::NoBlocks nowhere;
  const auto progress = session.progress("cid");
  uint64_t done = 0;
  std::string subject;
  FileTree tree(profile, args.walk, nowhere, session.interrupt, [&](size_t count) {
    done += count;
    progress->update(done, 0, subject);
  });
  std::vector<Result> results;
  int result = session.each(args.files, [&](const std::string& file) {
    subject = file;
    results.push_back({file, tree.add(file)});
  });
  progress->clear();
  if (args.wrap && result == kOk) {
    std::vector<ipld::DirectoryEntry> entries;
    for (const Result& each : results) entries.push_back({entry_name(args, each), each.root});
    results.push_back({"", ipld::make_directory(profile, std::move(entries), nowhere)});
  }
  if (args.last_only && results.size() > 1) results.erase(results.begin(), results.end() - 1);
  print(session, args, results);
  return result;
}

}  // namespace

void add_cid(CLI::App& app, Choice& choice) {
  const auto args = std::make_shared<CidArgs>();
  CLI::App* verb =
      add_verb(app, choice, "cid", "print the CIDs that `ipfs add --only-hash` would give to files, without a daemon",
               cid, args);
  CidFlags& flags = args->flags;
  verb->add_option("FILE", args->files, "files; \"-\": standard input")->required();
  verb->add_option("--profile", flags.profile, "of Kubo's imports [default]")
      ->type_name("default|cid-version=1|unixfs-v0-2015|unixfs-v1-2025");
  verb->add_option("--cid-version", flags.cid_version, "1 brings raw leaves along [0]")->type_name("0|1");
  verb->add_flag_function(
      "--raw-leaves", [args](int64_t count) { args->flags.raw_leaves = count > 0; }, "leaves are the bytes themselves");
  verb->add_option("-s,--chunker", flags.chunker, "size-N, fastcdc-MIN-AVG-MAX, tar or zstd-frames [size-262144]")
      ->type_name("CHUNKER");
  verb->add_option("--max-file-links", flags.max_file_links, "of a node of a file [174]")->type_name("COUNT");
  verb->add_option("--hash", flags.hash, "another one than sha2-256 brings version 1 along [sha2-256]")
      ->type_name("sha2-256|sha2-512");
  verb->add_flag("--inline", flags.inline_small, "hold small blocks in their CIDs");
  verb->add_option("--inline-limit", flags.inline_limit, "bytes of a small block [32]")->type_name("BYTES");
  verb->add_flag("-r,--recursive", args->walk.recursive, "directories too");
  verb->add_flag("-H,--hidden", args->walk.hidden, "in directories names that begin with a dot too");
  verb->add_flag("-w,--wrap-with-directory", args->wrap, "also the CID of a directory of all of them, last");
  verb->add_flag("-Q,--quieter", args->last_only, "print the last CID only");
  verb->add_option("--cid-base", args->base, "of CIDs in the output [base32, of version 0 base58btc]")
      ->type_name("base32|base58btc|base36|base16");
  verb->add_option("--stdin-name", args->stdin_name, "of standard input in the directory of -w")->type_name("NAME");
  verb->add_flag("-n,--only-hash", args->only_hash, "nothing is stored in any case")->group("");
  for (const NotOffered& each : kNotOffered) {
    const auto refuse = [args, each](int64_t) {
      args->not_offered = fmt::format("{}: {} is not offered", each.flag, each.why);
    };
    verb->add_flag(each.flag, refuse, "not offered")->group("");
  }
  for (const NotOffered& each : kNotOfferedValues) {
    const auto refuse = [args, each](const std::string&) {
      args->not_offered = fmt::format("{}: {} is not offered", each.flag, each.why);
    };
    verb->add_option_function<std::string>(each.flag, refuse, "not offered")->group("");
  }
}

}  // namespace ipcs::cli
