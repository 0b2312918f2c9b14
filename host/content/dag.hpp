// A backend's optional features at work on blobs that somebody holds.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "content/content.hpp"
#include "ipcs/store_extensions.hpp"

namespace ipcs::content {

// The names of the features that the current store offers ("ipcs.locate/1", …).
std::vector<std::string> features(const Store& store);

// The store's feature, e.g. need<Locator>(store). Throws kUnimplemented, naming the backend and the feature.
template <class Feature>
Feature need(const Store& store, const char* id);

// Throws kUnimplemented.
[[noreturn]] void throw_not_offered(const Store& store, const char* id);

template <class Feature>
Feature need(const Store& store, const char* id) {
  if (auto feature = Feature::of(store)) return *feature;
  throw_not_offered(store, id);
}

// Runs `adopt`, which makes a blob known to the current store under one more digest, and pins that for `owner`. What
// was known and not pinned yet belongs to nobody, so it may go before it is pinned; then it is adopted once more.
Adopted adopt_and_pin(const Call& call, Content& content, const std::string& note, const std::string& owner,
                      const std::function<Adopted()>& adopt);

}  // namespace ipcs::content
