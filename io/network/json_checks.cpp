#include "io/network/json_checks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

#include "engine/core/errors.hpp"

namespace gramtile {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxNameBytes = 100;
constexpr std::size_t kMaxQuotedBytes = 40;    // of the user's text in a message
constexpr std::size_t kMaxMessageBytes = 300;  // of the parser's own message

// Cut, and on one line whatever the text holds.
std::string shortened(std::string text, std::size_t most) {
  if (text.size() > most) {
    while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xC0U) == 0x80U) {
      --most;  // not within a UTF-8 sequence
    }
    text.resize(most);
    text += "…";
  }
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7F; }, ' ');
  return text;
}

std::string description(const Json& value) {
  if (value.is_object()) {
    return "an object";
  }
  if (value.is_array()) {
    return "a list";
  }
  return shortened(value.dump(-1, ' ', false, Json::error_handler_t::replace), kMaxQuotedBytes);
}

// Goes through the text before it is parsed: how deep it is, and which keys each open object has
// had. (The parser's own callbacks would do, but behind every object it looks at all that stand
// beside it: 1 s for 40,000 layers.) What is no JSON ends the walk; the parser says so better.
class Watcher : public nlohmann::json_sax<Json> {
 public:
  explicit Watcher(int max_depth) : max_depth_(static_cast<std::size_t>(max_depth)) {}

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(std::size_t) override { return open(); }
  bool end_object() override { return close(); }
  bool start_array(std::size_t) override { return open(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    check_new(name);
    return true;
  }
  bool parse_error(std::size_t, const std::string&, const Json::exception&) override {
    return false;
  }

 private:
  bool open() {
    if (keys_.size() >= max_depth_) {
      throw NetworkError("",
                         fmt::format("lists and objects are nested more than {} deep", max_depth_));
    }
    keys_.emplace_back();
    return true;
  }
  bool close() {
    keys_.pop_back();
    return true;
  }
  void check_new(const std::string& key) {
    if (!keys_.back().insert(key).second) {
      throw NetworkError("", fmt::format("the key \"{}\" stands twice in one object",
                                         shortened(key, kMaxQuotedBytes)));
    }
  }

  std::size_t max_depth_;
  std::vector<std::set<std::string>> keys_;  ///< of every open object; empty for a list
};

// Edits (insert, delete, replace a byte) that turn `a` into `b`.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({row[j] + 1, diagonal + 1, replaced});
    }
  }
  return row.back();
}

}  // namespace

Json parse_strictly(const std::string& text, int max_depth) {
  try {
    constexpr bool kThrow = true;
    constexpr bool kIgnoreComments = true;
    Watcher watcher(max_depth);
    Json::sax_parse(text, &watcher, Json::input_format_t::json, true, kIgnoreComments);
    return Json::parse(text, nullptr, kThrow, kIgnoreComments);
  } catch (const Json::exception& error) {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: …"
    std::string message = error.what();
    const std::size_t prefix = message.find("] ");
    message.erase(0, prefix == std::string::npos ? 0 : prefix + 2);
    throw NetworkError("", "not JSON: " + shortened(message, kMaxMessageBytes));
  }
}

const Json* find(const Json& object, std::string_view key) {
  const auto found = object.find(key);
  return found == object.end() ? nullptr : &*found;
}

const Json& require(const Json& object, std::string_view key, const Path& path) {
  const Json* value = find(object, key);
  if (value == nullptr) {
    throw NetworkError(path.text(), fmt::format("the key \"{}\" is missing", key));
  }
  return *value;
}

void check_keys(const Json& value, std::initializer_list<std::string_view> known,
                const Path& path) {
  if (!value.is_object()) {
    refuse(value, "an object", path);
  }
  for (const auto& [key, unused] : value.items()) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      throw NetworkError(path.text(),
                         fmt::format("unknown key \"{}\"{}", shortened(key, kMaxQuotedBytes),
                                     suggestion(key, known)));
    }
  }
}

std::string suggestion(std::string_view word, const std::vector<std::string_view>& known) {
  if (word.size() > kMaxQuotedBytes) {
    return "";
  }
  std::string_view nearest;
  std::size_t fewest = std::max<std::size_t>(2, word.size() / 3) + 1;
  for (const std::string_view candidate : known) {
    const std::size_t edits = edit_distance(word, candidate);
    if (edits < fewest) {
      fewest = edits;
      nearest = candidate;
    }
  }
  return nearest.empty() ? "" : fmt::format("; did you mean \"{}\"?", nearest);
}

Index integer(const Json& value, const Path& path) {
  if (!value.is_number_integer()) {
    refuse(value, "an integer", path);
  }
  constexpr auto kMost = static_cast<std::uint64_t>(std::numeric_limits<Index>::max());
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > kMost) {
    refuse(value, fmt::format("at most {}", kMost), path);
  }
  return value.get<Index>();
}

double number(const Json& value, const Path& path) {
  if (!value.is_number()) {
    refuse(value, "a number", path);
  }
  return value.get<double>();
}

bool boolean(const Json& value, const Path& path) {
  if (!value.is_boolean()) {
    refuse(value, "true or false", path);
  }
  return value.get<bool>();
}

const std::string& name_text(const Json& value, const Path& path) {
  if (!value.is_string()) {
    refuse(value, "a string", path);
  }
  const auto& text = value.get_ref<const std::string&>();
  const bool has_control =
      std::any_of(text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7F; });
  if (text.size() > kMaxNameBytes || has_control) {
    refuse(value, fmt::format("at most {} bytes without control characters", kMaxNameBytes), path);
  }
  return text;
}

const Json& list(const Json& value, const Path& path) {
  if (!value.is_array()) {
    refuse(value, "a list", path);
  }
  return value;
}

void refuse(const Json& value, std::string_view expected, const Path& path) {
  throw NetworkError(path.text(),
                     fmt::format("must be {}, found {}", expected, description(value)));
}

}  // namespace gramtile
