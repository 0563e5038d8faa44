// Arrays of the caller: a pointer, a shape, strides and an element type. Nothing is owned, nothing
// copied; whoever makes a view keeps the memory alive and unchanged for as long as it is used.
// Strides are in bytes, of any sign and size, as NumPy and DLPack have them, and elements may stand
// at any address.
#pragma once

#include <array>
#include <cstdint>
#include <type_traits>

#include "engine/core/index.hpp"

namespace gramtile {

/// What a pixel is in memory.
enum class PixelType {
  kUint8,    ///< 0 to 255, read as value / 255
  kFloat32,  ///< taken as it is
  kFloat64,  ///< taken as it is
};

constexpr Index size_in_bytes(PixelType type) {
  return type == PixelType::kUint8 ? 1 : type == PixelType::kFloat32 ? 4 : 8;
}

/// The element type of T: std::uint8_t (pixels only), float or double.
template <class T>
constexpr PixelType pixel_type_of() {
  static_assert(std::is_same_v<T, std::uint8_t> || std::is_same_v<T, float> ||
                std::is_same_v<T, double>);
  if constexpr (std::is_same_v<T, std::uint8_t>) return PixelType::kUint8;
  return std::is_same_v<T, float> ? PixelType::kFloat32 : PixelType::kFloat64;
}
template <class T>
constexpr DataType data_type_of() {
  static_assert(std::is_same_v<T, float> || std::is_same_v<T, double>);
  return std::is_same_v<T, float> ? DataType::kFloat32 : DataType::kFloat64;
}

/// Images in memory.
struct ImageView {
  const void* data = nullptr;  ///< of image 0, channel 0, row 0, column 0
  PixelType type = PixelType::kFloat64;
  Index num_images = 0;
  ImageShape shape;
  std::array<Index, 4> strides{};  ///< [bytes] to the next image, channel, row, column
};

/// Images [N, C, H, W], row-major.
template <class T>
ImageView channels_first(const T* data, Index num_images, ImageShape shape) {
  constexpr Index kSize = sizeof(T);
  const auto [c, h, w] = shape;
  return {data,
          pixel_type_of<T>(),
          num_images,
          shape,
          {c * h * w * kSize, h * w * kSize, w * kSize, kSize}};
}

/// Images [N, H, W, C], row-major.
template <class T>
ImageView channels_last(const T* data, Index num_images, ImageShape shape) {
  constexpr Index kSize = sizeof(T);
  const auto [c, h, w] = shape;
  return {data,
          pixel_type_of<T>(),
          num_images,
          shape,
          {c * h * w * kSize, kSize, w * c * kSize, c * kSize}};
}

/// A matrix in memory, to read (`Data` = const void) or to write (`Data` = void).
template <class Data>
struct StridedMatrix {
  Data* data = nullptr;  ///< of entry [0, 0]
  DataType type = DataType::kFloat64;
  Index num_rows = 0, num_columns = 0;
  Index row_stride = 0, column_stride = 0;  ///< [bytes] to the next row, column
};
using MatrixView = StridedMatrix<const void>;
using MatrixSpan = StridedMatrix<void>;

/// A matrix [num_rows, num_columns], row-major.
template <class T>
MatrixView matrix_view(const T* data, Index num_rows, Index num_columns) {
  constexpr Index kSize = sizeof(T);
  return {data, data_type_of<T>(), num_rows, num_columns, num_columns * kSize, kSize};
}
template <class T>
MatrixSpan matrix_span(T* data, Index num_rows, Index num_columns) {
  constexpr Index kSize = sizeof(T);
  return {data, data_type_of<T>(), num_rows, num_columns, num_columns * kSize, kSize};
}

/// Matrices of one shape, one behind another: a jacobian [P, N, M].
struct CubeSpan {
  Index num_planes = 0;
  Index plane_stride = 0;  ///< [bytes] to the next matrix
  MatrixSpan first;        ///< the first of them
};

/// Matrices [num_planes, num_rows, num_columns], row-major.
template <class T>
CubeSpan cube_span(T* data, Index num_planes, Index num_rows, Index num_columns) {
  constexpr Index kSize = sizeof(T);
  return {num_planes, num_rows * num_columns * kSize, matrix_span(data, num_rows, num_columns)};
}

}  // namespace gramtile
