// What lower() makes of a document, or says of it.
#pragma once

#include <doctest/doctest.h>

#include <string>

#include "engine/core/errors.hpp"
#include "engine/network/program.hpp"
#include "io/network/network_json.hpp"

namespace gramtile::test {

inline constexpr ImageShape kImage{.channels = 1, .height = 8, .width = 8};

inline Program lowered(const std::string& json, ImageShape shape = kImage) {
  return lower(read_network(json, ""), shape);
}

// A network of the layers in `layers`, without its end: only for what is refused before that.
inline std::string refusal(const std::string& document, ImageShape shape = kImage) {
  try {
    lowered(document, shape);
  } catch (const NetworkError& error) {
    CHECK(error.kind() == ErrorKind::kNetwork);
    return error.what();
  }
  return "accepted";
}

inline std::string layers(const std::string& list) { return R"({"layers": [)" + list + "]}"; }

inline const std::string kEnd = R"(, {"type": "conv2d", "kernel_size": 8, "padding": 0})";

inline bool contains(const std::string& text, const std::string& part) {
  INFO(text);
  const bool found = text.find(part) != std::string::npos;
  CHECK(found);
  return found;
}

}  // namespace gramtile::test
