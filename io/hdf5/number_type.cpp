#include "io/hdf5/number_type.hpp"

#include <cstddef>

namespace gramtile::hdf5 {
namespace {

struct FloatFields {
  std::size_t sign, exponent, exponent_bits, mantissa, mantissa_bits;
  bool operator==(const FloatFields&) const = default;
};

FloatFields ieee_fields(std::size_t size_bytes) {
  if (size_bytes == 2) return {15, 10, 5, 0, 10};
  if (size_bytes == 4) return {31, 23, 8, 0, 23};
  return {63, 52, 11, 0, 52};
}

}  // namespace

bool is_plain_number(hid_t type) {
  const H5T_class_t kind = H5Tget_class(type);
  const std::size_t size = H5Tget_size(type), bits = H5Tget_precision(type);
  const int offset = H5Tget_offset(type);
  const bool whole = size == 1 || size == 2 || size == 4 || size == 8;
  if (!whole || bits < 1 || bits > 8 * size || offset < 0) return false;
  if (bits + static_cast<std::size_t>(offset) > 8 * size) return false;
  if (kind == H5T_INTEGER) return true;
  if (kind != H5T_FLOAT || size == 1) return false;
  FloatFields f{};
  return H5Tget_fields(type, &f.sign, &f.exponent, &f.exponent_bits, &f.mantissa,
                       &f.mantissa_bits) >= 0 &&
         f == ieee_fields(size);
}

}  // namespace gramtile::hdf5
