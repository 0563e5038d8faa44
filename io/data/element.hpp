// Elements of files to numbers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "io/data/raw_array.hpp"

namespace gramtile {

/// Pixels: uint8 divided by 255, floating point as it is, and integers that stand for it. `bytes`
/// holds values.size() elements; integers of more than a byte are not asked for.
void decode_pixels(ElementType type, std::span<const std::byte> bytes, std::span<double> values);

/// One integer; nothing when it is a uint64 past 2⁶³ − 1.
std::optional<std::int64_t> decode_integer(ElementType type, std::span<const std::byte> bytes);

}  // namespace gramtile
