// Paths as text.
#include "diff/path.hpp"

namespace ipcs::diff {

std::string clean_path(std::string_view name) {
  std::string out;
  out.reserve(name.size());
  while (!name.empty()) {
    const size_t slash = name.find('/');
    const std::string_view component = name.substr(0, slash);
    name.remove_prefix(slash == std::string_view::npos ? name.size() : slash + 1);
    if (component.empty() || component == ".") continue;
    if (component == "..") {
      const size_t parent = out.rfind('/');
      out.resize(parent == std::string::npos ? 0 : parent);
    } else {
      if (!out.empty()) out += '/';
      out += component;
    }
  }
  return out;
}

SplitPath split_path(std::string_view path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return {"", path};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

std::string shown(std::string_view name) {
  std::string out(name.substr(0, 200));
  for (char& c : out) c = static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  return out;
}

std::string join_path(std::string_view parent, std::string_view base) {
  std::string out(parent);
  if (!out.empty()) out += '/';
  return out += base;
}

}  // namespace ipcs::diff
