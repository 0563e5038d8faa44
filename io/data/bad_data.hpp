// Messages about files that are not what they claim to be: always one line, whatever the file
// holds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace gramtile {

/// Throws DataError "FILE: offset O: expected E, found F".
[[noreturn]] void refuse_data(const std::string& file, std::uint64_t offset,
                              const std::string& expected, const std::string& found);

/// `text` fit for a message: anything but printable ASCII becomes \xNN, the rest past `max_size`
/// "…".
std::string printable(std::string_view text, std::size_t max_size = 80);

/// Bytes as "00 00 08 03"; "end of file" when there are none.
std::string hex(std::span<const std::byte> bytes);

/// a · b, or nothing when it does not fit. Every size that a file declares goes through here.
inline std::optional<std::uint64_t> checked_multiply(std::uint64_t a, std::uint64_t b) {
  std::uint64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

/// Product of the extents and `element_bytes`, or nothing when it passes 2⁶³ − 1. Zero extents
/// count as zero only when the rest fits: [2³², 2³², 0] has no size either.
std::optional<std::uint64_t> checked_size(std::span<const std::uint64_t> shape,
                                          std::uint64_t element_bytes);

/// "[60000, 28, 28]"
std::string shape_text(std::span<const std::uint64_t> shape);

}  // namespace gramtile
