// Strict access to parsed JSON: every value is taken as what it is or refused, with the path at
// which it stands. Private to the network reader.
#pragma once

#include <initializer_list>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "engine/core/index.hpp"
#include "engine/network/path.hpp"

namespace gramtile {

/// Parses `text`, comments allowed. Throws NetworkError: not JSON, a number beyond double, nesting
/// deeper than `max_depth`, the same key twice in one object.
nlohmann::json parse_strictly(const std::string& text, int max_depth);

/// Value of an object's key, or nullptr.
const nlohmann::json* find(const nlohmann::json& object, std::string_view key);

/// Value of an object's key. Throws NetworkError when it is missing.
const nlohmann::json& require(const nlohmann::json& object, std::string_view key, const Path& path);

/// Throws NetworkError unless `value` is an object with no other keys than `known`.
void check_keys(const nlohmann::json& value, std::initializer_list<std::string_view> known,
                const Path& path);

/// The known word nearest to `word` as "; did you mean \"…\"?", or nothing when none is near.
std::string suggestion(std::string_view word, const std::vector<std::string_view>& known);

// Each throws NetworkError when `value` is of any other type, or out of range.
Index integer(const nlohmann::json& value, const Path& path);
double number(const nlohmann::json& value, const Path& path);
bool boolean(const nlohmann::json& value, const Path& path);
/// At most 100 bytes, no control characters: fit for messages and for HDF5 attributes.
const std::string& name_text(const nlohmann::json& value, const Path& path);
const nlohmann::json& list(const nlohmann::json& value, const Path& path);

/// Throws NetworkError: `path`: must be `expected`, found …
[[noreturn]] void refuse(const nlohmann::json& value, std::string_view expected, const Path& path);

}  // namespace gramtile
