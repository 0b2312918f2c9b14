// Reading and rewriting indexes, manifests and configs.
#include "oci/manifest.hpp"

#include "ipcs/error.hpp"
#include "oci/json_text.hpp"
#include "oci/media_type.hpp"
#include "oci/text.hpp"

namespace ipcs::oci {
namespace {

using nlohmann::json;

constexpr size_t kMaxChildren = 10'000;

[[noreturn]] void fail(std::string_view name, const std::string& what) {
  throw Error(Code::kInvalidArgument, std::string(name) + ": " + what);
}

bool says_nothing(std::string_view type) {
  return type.empty() || type == "application/json" || type == "text/plain" || type == "application/octet-stream";
}

bool has(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && !found->is_null();
}

std::string string_or_nothing(const json& object, const char* key, std::string_view name) {
  if (!has(object, key)) return {};
  if (!object[key].is_string()) fail(name, std::string("\"") + key + "\" is not a string");
  return object[key].get<std::string>();
}

// What the document is by its members alone.
std::string type_by_members(const json& object, std::string_view name) {
  const bool index = has(object, "manifests");
  const bool manifest = has(object, "layers") || has(object, "config");
  if (index && manifest) fail(name, "both an index and a manifest");
  if (has(object, "fsLayers")) fail(name, "a Docker manifest of schema 1, which no one has made since 2017");
  if (!index && !manifest) fail(name, "neither an index nor a manifest");
  return std::string(index ? kOciIndex : kOciManifest);
}

// Where the children lie in the document, in the order of Manifest::children().
std::vector<std::pair<Role, const JsonSpan*>> spans_of(const JsonText& document, bool index) {
  std::vector<std::pair<Role, const JsonSpan*>> spans;
  if (const JsonSpan* config = index ? nullptr : document.root().find("config"))
    spans.emplace_back(Role::kConfig, config);
  if (const JsonSpan* list = document.root().find(index ? "manifests" : "layers")) {
    for (const JsonSpan& child : list->elements) spans.emplace_back(index ? Role::kManifest : Role::kLayer, &child);
  }
  return spans;
}

}  // namespace

Manifest Manifest::parse(std::string bytes, std::string_view media_type, std::string_view name) {
  if (bytes.size() > kMaxManifest) fail(name, "larger than " + std::to_string(kMaxManifest) + " bytes");
  if (media_type.starts_with(kDockerManifestV1))
    fail(name, "a Docker manifest of schema 1, which no one has made since 2017");
  const JsonText document = JsonText::parse(std::move(bytes), name);
  const json& object = document.value();
  if (!object.is_object()) fail(name, "not an object");

  const std::string shape = type_by_members(object, name);
  const std::string own = string_or_nothing(object, "mediaType", name);
  Manifest manifest;
  manifest.media_type_ = says_nothing(media_type) ? (own.empty() ? shape : own) : std::string(media_type);
  if (!own.empty() && own != manifest.media_type_) {
    fail(name, "said to be " + one_line(media_type, 80) + ", but it calls itself " + one_line(own, 80));
  }
  manifest.is_index_ = oci::is_index(manifest.media_type_);
  if (!manifest.is_index_ && !is_manifest(manifest.media_type_)) {
    fail(name, "of type " + one_line(manifest.media_type_, 80) + ", which is neither an index nor a manifest");
  }
  if (manifest.is_index_ != (shape == kOciIndex)) {
    fail(name, "of type " + manifest.media_type_ + ", but made like " + shape);
  }
  if (!has(object, "schemaVersion") || object["schemaVersion"] != 2) fail(name, "\"schemaVersion\" is not 2");
  const char* list = manifest.is_index_ ? "manifests" : "layers";
  if (!has(object, list) || !object[list].is_array()) fail(name, std::string("\"") + list + "\" is not an array");
  if (object[list].size() > kMaxChildren) fail(name, "more than " + std::to_string(kMaxChildren) + " entries");
  if (!manifest.is_index_ && !has(object, "config")) fail(name, "no \"config\"");

  for (const auto& [role, span] : spans_of(document, manifest.is_index_)) {
    manifest.children_.push_back({role, Descriptor::parse(std::string(document.at(*span)), name)});
  }
  manifest.artifact_type_ = string_or_nothing(object, "artifactType", name);
  manifest.bytes_ = document.text();
  return manifest;
}

Descriptor Manifest::descriptor(Algorithm algorithm) const {
  return {media_type_, Digest::of(bytes_, algorithm), bytes_.size()};
}

std::string Manifest::rewritten(std::span<const std::optional<Descriptor>> changed, std::string_view media_type) const {
  const JsonText document = JsonText::parse(bytes_, "manifest");
  const auto spans = spans_of(document, is_index_);
  if (changed.size() != spans.size())
    throw Error(Code::kInternal, "a manifest is rewritten with another number of children");
  JsonEdit edit(document);
  for (size_t i = 0; i < spans.size(); ++i) {
    if (changed[i]) edit.replace(*spans[i].second, changed[i]->text());
  }
  if (!media_type.empty()) edit.set(document.root(), "mediaType", json_quote(media_type));
  return edit.apply();
}

ImageConfig ImageConfig::parse(std::string bytes, std::string_view name) {
  if (bytes.size() > kMaxConfig) fail(name, "larger than " + std::to_string(kMaxConfig) + " bytes");
  const JsonText document = JsonText::parse(std::move(bytes), name);
  const json& object = document.value();
  if (!object.is_object()) fail(name, "not an object");
  ImageConfig config;
  config.platform = Platform::from_json(object);
  if (!has(object, "rootfs")) return config;
  const json& rootfs = object["rootfs"];
  if (!rootfs.is_object()) fail(name, "\"rootfs\" is not an object");
  if (!has(rootfs, "diff_ids")) return config;
  if (!rootfs["diff_ids"].is_array()) fail(name, "\"diff_ids\" is not an array");
  for (const json& id : rootfs["diff_ids"]) {
    const auto digest = id.is_string() ? Digest::try_parse(id.get<std::string>()) : std::nullopt;
    if (!digest) fail(name, "\"diff_ids\" has something that is not a digest");
    config.diff_ids.push_back(*digest);
  }
  return config;
}

}  // namespace ipcs::oci
