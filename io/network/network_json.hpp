// Networks as text: JSON with comments, read strictly, and the canonical text that is written into
// output files. docs/networks.md describes the format.
#pragma once

#include <cstddef>
#include <string>

#include "engine/core/errors.hpp"
#include "engine/network/network.hpp"

namespace gramtile {

/// Longest network file that is read [bytes].
constexpr std::size_t kMaxNetworkBytes = std::size_t{1} << 20;

/// Deepest nesting of JSON arrays and objects in a network file.
constexpr int kMaxJsonDepth = 64;

/// The network in `text`. `name_for_errors` (a path) heads every message. Types, keys and ranges of
/// integers are checked here; whether the network makes sense is checked by `lower()`.
/// Throws NetworkError: not JSON, longer or deeper than the limits, a duplicate, unknown or missing
/// key (with the nearest known one), a value of another type (nothing is converted: 3.0 is no
/// integer), a number out of range.
Network read_network(const std::string& text, const std::string& name_for_errors);

/// The network in a file, or the preset of that name where no such file exists.
/// Throws NetworkError (neither exists, naming the presets; or as read_network), IoError.
Network load_network(const std::string& path_or_preset);

/// `error` with the file it is about at the head of its message and of `where`; for errors of
/// `lower()`, which knows no files. An empty `file` changes nothing.
NetworkError in_file(const std::string& file, const NetworkError& error);

/// One line of JSON with every default written out; equal networks give equal text, and
/// `read_network(to_json(network))` is the same network to the last bit.
std::string to_json(const Network& network);

}  // namespace gramtile
