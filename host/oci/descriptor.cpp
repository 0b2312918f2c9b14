// Reading descriptors, and changing their text in places.
#include "oci/descriptor.hpp"

#include <limits>

#include "ipcs/error.hpp"
#include "oci/json_text.hpp"
#include "oci/text.hpp"

namespace ipcs::oci {
namespace {

using nlohmann::json;

constexpr size_t kMaxMediaType = 255;

[[noreturn]] void fail(std::string_view name, const std::string& what) {
  throw Error(Code::kInvalidArgument, std::string(name) + ": " + what);
}

const json* member(const json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

std::string string_member(const json& object, const char* key, std::string_view name) {
  const json* value = member(object, key);
  if (value == nullptr) return {};
  if (!value->is_string()) fail(name, std::string("\"") + key + "\" is not a string");
  return value->get<std::string>();
}

// `document`'s text with one member of its root set.
std::string with_member(const std::string& text, std::string_view key, std::string value) {
  const JsonText document = JsonText::parse(text, "descriptor");
  JsonEdit edit(document);
  edit.set(document.root(), key, std::move(value));
  return edit.apply();
}

}  // namespace

Descriptor::Descriptor(std::string media_type, Digest digest, uint64_t size)
    : media_type_(std::move(media_type)), digest_(std::move(digest)), size_(size) {
  text_ = "{\"mediaType\":" + json_quote(media_type_) + ",\"digest\":\"" + digest_.to_string() +
          "\",\"size\":" + std::to_string(size_) + "}";
}

Descriptor Descriptor::parse(std::string text, std::string_view name) {
  JsonText document = JsonText::parse(std::move(text), name);
  const json& object = document.value();
  if (!object.is_object()) fail(name, "a descriptor is not an object");

  std::string media_type = string_member(object, "mediaType", name);
  if (media_type.empty()) fail(name, "a descriptor has no \"mediaType\"");
  if (media_type.size() > kMaxMediaType || one_line(media_type, kMaxMediaType) != media_type) {
    fail(name, "the media type \"" + one_line(media_type, 60) + "\" is none");
  }
  const auto digest = Digest::try_parse(string_member(object, "digest", name));
  if (!digest) fail(name, "\"" + one_line(string_member(object, "digest", name), 80) + "\" is not a digest");
  const json* size = member(object, "size");
  if (size == nullptr || !size->is_number_unsigned() || size->get<uint64_t>() > std::numeric_limits<int64_t>::max()) {
    fail(name, "the size of " + digest->to_string() + " is not a number of bytes");
  }

  Descriptor descriptor(std::move(media_type), *digest, size->get<uint64_t>());
  if (const json* urls = member(object, "urls")) {
    if (!urls->is_array()) fail(name, "\"urls\" is not an array");
    for (const json& url : *urls) {
      if (!url.is_string()) fail(name, "\"urls\" has something that is not a string");
      descriptor.urls_.push_back(url.get<std::string>());
    }
  }
  if (const json* platform = member(object, "platform")) descriptor.platform_ = Platform::from_json(*platform);
  if (const json* annotations = member(object, "annotations")) {
    if (!annotations->is_object()) fail(name, "\"annotations\" is not an object");
    for (const auto& [key, value] : annotations->items()) {
      if (!value.is_string()) fail(name, "the annotation \"" + one_line(key, 60) + "\" is not a string");
      descriptor.annotations_[key] = value.get<std::string>();
    }
  }
  descriptor.artifact_type_ = string_member(object, "artifactType", name);
  descriptor.text_ = document.text();
  return descriptor;
}

Descriptor Descriptor::with_content(const Digest& digest, uint64_t size) const {
  return parse(
      with_member(with_member(text_, "digest", "\"" + digest.to_string() + "\""), "size", std::to_string(size)),
      "descriptor");
}

Descriptor Descriptor::with_media_type(std::string_view media_type) const {
  return parse(with_member(text_, "mediaType", json_quote(media_type)), "descriptor");
}

Descriptor Descriptor::with_urls(const std::vector<std::string>& urls) const {
  return parse(with_member(text_, "urls", json(urls).dump(-1, ' ', false, json::error_handler_t::replace)),
               "descriptor");
}

Descriptor Descriptor::with_annotation(std::string_view key, std::string_view value) const {
  const JsonText document = JsonText::parse(text_, "descriptor");
  JsonEdit edit(document);
  const std::string quoted = json_quote(value);
  const JsonSpan* annotations = document.root().find("annotations");
  if (annotations != nullptr && document.at(*annotations).starts_with('{')) {
    edit.set(*annotations, key, quoted);
  } else {
    edit.set(document.root(), "annotations", "{" + json_quote(key) + ":" + quoted + "}");
  }
  return parse(edit.apply(), "descriptor");
}

}  // namespace ipcs::oci
