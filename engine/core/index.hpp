// Counts, ranges and shapes: the small values that everything else is made of.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace gramtile {

/// Counts and positions of examples, pixels and tiles. Signed, so that differences are safe.
using Index = std::int64_t;

/// A count as the standard library counts. `n` is not negative.
constexpr std::size_t as_size(Index n) { return static_cast<std::size_t>(n); }

/// Half-open range [start, stop).
struct Range {
  Index start = 0;
  Index stop = 0;

  constexpr Index size() const { return stop - start; }
  constexpr bool operator==(const Range&) const = default;
};

/// Shape of one image, [channels, height, width].
struct ImageShape {
  Index channels = 1;
  Index height = 0;
  Index width = 0;

  constexpr Index num_pixels() const { return height * width; }
  constexpr Index num_values() const { return channels * height * width; }
  constexpr bool operator==(const ImageShape&) const = default;
};

/// Shape of one covariance map, [height, width]; what an image becomes inside the network.
struct MapShape {
  Index height = 0;
  Index width = 0;

  constexpr Index num_pixels() const { return height * width; }
  constexpr bool operator==(const MapShape&) const = default;
};

/// Type in which kernel entries are computed and stored.
enum class DataType { kFloat32, kFloat64 };

constexpr std::size_t size_in_bytes(DataType type) { return type == DataType::kFloat32 ? 4 : 8; }
constexpr std::string_view name_of(DataType type) {
  return type == DataType::kFloat32 ? "float32" : "float64";
}

}  // namespace gramtile
