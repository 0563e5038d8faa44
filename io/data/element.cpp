#include "io/data/element.hpp"

#include <bit>
#include <cmath>
#include <limits>

namespace gramtile {
namespace {

// The element's bits, whatever the byte order of file and machine.
std::uint64_t load_bits(const std::byte* bytes, int size, bool big_endian) {
  std::uint64_t bits = 0;
  for (int i = 0; i < size; ++i) {
    const int from = big_endian ? i : size - 1 - i;  // most significant byte first
    bits = bits << 8 | std::to_integer<std::uint64_t>(bytes[from]);
  }
  return bits;
}

// IEEE binary16: sign, 5 bits of exponent (bias 15), 10 of fraction.
double half_to_double(std::uint64_t bits) {
  const int exponent = static_cast<int>(bits >> 10 & 31);
  const auto fraction = static_cast<double>(bits & 1023);
  double magnitude = 0;
  if (exponent == 31) {
    magnitude = fraction == 0 ? std::numeric_limits<double>::infinity()
                              : std::numeric_limits<double>::quiet_NaN();
  } else if (exponent == 0) {
    magnitude = std::ldexp(fraction, -24);
  } else {
    magnitude = std::ldexp(1024 + fraction, exponent - 25);
  }
  return bits >> 15 != 0 ? -magnitude : magnitude;
}

double decode_float(ElementType type, const std::byte* bytes) {
  const std::uint64_t bits = load_bits(bytes, type.size, type.big_endian);
  if (type.size == 2) return half_to_double(bits);
  if (type.size == 4) return std::bit_cast<float>(static_cast<std::uint32_t>(bits));
  return std::bit_cast<double>(bits);
}

}  // namespace

void decode_pixels(ElementType type, std::span<const std::byte> bytes, std::span<double> values) {
  const auto stride = static_cast<std::size_t>(type.size);
  if (type.kind != 'f' && type.is_plain) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      const auto value = decode_integer(type, bytes.subspan(i * stride, stride));
      values[i] = value ? static_cast<double>(*value) : std::numeric_limits<double>::quiet_NaN();
    }
    return;
  }
  if (type.size == 1) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = std::to_integer<int>(bytes[i]) / 255.0;
    }
    return;
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = decode_float(type, bytes.data() + i * stride);
  }
}

std::optional<std::int64_t> decode_integer(ElementType type, std::span<const std::byte> bytes) {
  const std::uint64_t bits = load_bits(bytes.data(), type.size, type.big_endian);
  if (type.kind == 'u') {
    if (bits > std::numeric_limits<std::int64_t>::max()) return std::nullopt;
    return static_cast<std::int64_t>(bits);
  }
  const int unused = 64 - 8 * type.size;  // shift up and down: extends the sign
  return static_cast<std::int64_t>(bits << unused) >> unused;
}

}  // namespace gramtile
