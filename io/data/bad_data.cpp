#include "io/data/bad_data.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <limits>

#include "engine/core/errors.hpp"

namespace gramtile {

void refuse_data(const std::string& file, std::uint64_t offset, const std::string& expected,
                 const std::string& found) {
  throw DataError(file, fmt::format("offset {}: expected {}, found {}", offset, expected, found));
}

std::string printable(std::string_view text, std::size_t max_size) {
  std::string out;
  for (const char c : text.substr(0, max_size)) {
    const bool plain = c >= 0x20 && c < 0x7f;
    out += plain ? std::string(1, c) : fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  }
  if (text.size() > max_size) out += "…";
  return out;
}

std::string hex(std::span<const std::byte> bytes) {
  if (bytes.empty()) return "end of file";
  std::string out;
  for (const std::byte b : bytes) out += fmt::format("{:02x} ", std::to_integer<unsigned>(b));
  out.pop_back();
  return out;
}

std::optional<std::uint64_t> checked_size(std::span<const std::uint64_t> shape,
                                          std::uint64_t element_bytes) {
  std::uint64_t nonzero_product = element_bytes;
  bool empty = false;
  for (const std::uint64_t extent : shape) {
    empty = empty || extent == 0;
    const auto product = checked_multiply(nonzero_product, extent == 0 ? 1 : extent);
    if (!product) return std::nullopt;
    nonzero_product = *product;
  }
  if (nonzero_product > std::numeric_limits<std::int64_t>::max()) return std::nullopt;
  return empty ? 0 : nonzero_product;
}

std::string shape_text(std::span<const std::uint64_t> shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

}  // namespace gramtile
