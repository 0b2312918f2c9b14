// A reader of WWW-Authenticate.
#include "oci/challenge.hpp"

#include <optional>

#include "oci/text.hpp"

namespace ipcs::oci {
namespace {

constexpr size_t kMaxChallenges = 16;
constexpr size_t kMaxParameters = 32;

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  bool at_end() const { return at_ >= text_.size(); }
  void space() {
    while (!at_end() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
  }
  void space_and_commas() {
    while (!at_end() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == ',')) ++at_;
  }
  bool take(char c) {
    if (at_end() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  std::string token() {
    static constexpr std::string_view kOther = "!#$%&'*+-.^_`|~";
    const size_t begin = at_;
    while (!at_end()) {
      const char c = text_[at_];
      const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
      if (!letter && (c == '\0' || kOther.find(c) == std::string_view::npos)) break;
      ++at_;
    }
    return std::string(text_.substr(begin, at_ - begin));
  }
  std::optional<std::string> value() {
    if (!take('"')) {
      // Some write urls without quotes.
      const size_t begin = at_;
      while (!at_end() && text_[at_] != ',' && text_[at_] != ' ' && text_[at_] != '\t' && text_[at_] != '"') ++at_;
      return std::string(text_.substr(begin, at_ - begin));
    }
    std::string unquoted;
    while (!at_end()) {
      if (take('"')) return unquoted;
      if (text_[at_] == '\\' && at_ + 1 < text_.size()) ++at_;
      unquoted += text_[at_++];
    }
    return std::nullopt;
  }
  size_t place() const { return at_; }
  void back_to(size_t place) { at_ = place; }

 private:
  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

std::vector<Challenge> parse_challenges(std::string_view header) {
  std::vector<Challenge> challenges;
  Reader reader(header);
  while (challenges.size() < kMaxChallenges) {
    reader.space_and_commas();
    Challenge challenge;
    challenge.scheme = lower_case(reader.token());
    if (challenge.scheme.empty()) break;
    for (size_t count = 0; count < kMaxParameters; ++count) {
      const size_t before = reader.place();
      reader.space_and_commas();
      const std::string name = lower_case(reader.token());
      reader.space();
      // A word without '=' is the next challenge's scheme.
      if (name.empty() || !reader.take('=')) {
        reader.back_to(before);
        break;
      }
      reader.space();
      auto value = reader.value();
      if (!value) return challenges;
      challenge.parameters.emplace(name, *std::move(value));
    }
    challenges.push_back(std::move(challenge));
  }
  return challenges;
}

}  // namespace ipcs::oci
