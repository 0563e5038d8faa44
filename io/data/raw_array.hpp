// An array that lies in a byte source without gaps: what IDX files, .npy files and .npz members
// come down to once their headers are read.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/core/index.hpp"
#include "io/data/byte_source.hpp"
#include "io/data/image_reader.hpp"

namespace gramtile {

/// Type of one element in a file.
struct ElementType {
  char kind = 'u';  ///< 'u' unsigned, 'i' signed, 'f' IEEE floating point
  int size = 1;     ///< 1, 2, 4 or 8 [bytes]
  bool big_endian = false;
  bool is_plain = false;  ///< integers that stand for floating-point numbers: pixels as they are

  std::string name() const;  ///< "uint8", "float32"
  bool is_integer() const { return kind != 'f'; }
};

/// Row-major. Whoever makes one has checked that the bytes hold exactly the array.
struct RawArray {
  SharedBytes bytes;
  std::uint64_t offset = 0;  ///< of the first element
  ElementType type;
  std::vector<std::uint64_t> shape;
  std::uint64_t shape_offset = 0;  ///< where the shape is declared, for messages
};

/// Throws DataError unless `array.bytes` ends with the array's last byte; for readers of headers.
void check_extent(const RawArray& array);

/// Largest image that is taken [values]: 512 MiB as doubles.
constexpr std::uint64_t kMaxImageValues = std::uint64_t{1} << 26;

/// Shape of one image of an array [N, C, H, W] or [N, H, W]. Throws DataError: another rank, an
/// extent of 0, an image past kMaxImageValues.
ImageShape image_shape_of(const std::string& name, std::uint64_t shape_offset,
                          std::span<const std::uint64_t> shape);

/// Images in `images`, with labels when there are some. Throws DataError: wrong rank or extents, a
/// type other than uint8, float16, float32 and float64.
std::unique_ptr<ImageReader> open_raw_images(RawArray images, std::optional<RawArray> labels);

/// Any array of numbers, as labels.
std::unique_ptr<LabelArray> open_raw_labels(RawArray labels);

}  // namespace gramtile
