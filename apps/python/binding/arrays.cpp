#include "apps/python/binding/arrays.hpp"

#include <fmt/format.h>

#include <string>

namespace gramtile::python {
namespace {

namespace nb = nanobind;

template <class T>
bool holds(const nb::dlpack::dtype& type) {
  return type == nb::dtype<T>();
}

[[noreturn]] void refuse_axes(const char* what, std::size_t found, const char* expected) {
  throw nb::value_error(fmt::format("{} has {} axes; expected {}", what, found, expected).c_str());
}

PixelType pixel_type(const nb::dlpack::dtype& type) {
  if (holds<std::uint8_t>(type)) return PixelType::kUint8;
  if (holds<float>(type)) return PixelType::kFloat32;
  if (holds<double>(type)) return PixelType::kFloat64;
  throw nb::type_error("images must hold uint8, float32 or float64");
}

DataType element_type(const nb::dlpack::dtype& type) {
  if (holds<float>(type)) return DataType::kFloat32;
  if (holds<double>(type)) return DataType::kFloat64;
  throw nb::type_error("a matrix must hold float32 or float64");
}

/// Stride of an axis [bytes]; of an axis that the array lacks, 0.
template <class Array>
Index stride(const Array& array, std::size_t axis) {
  if (axis >= array.ndim()) return 0;
  return static_cast<Index>(array.stride(axis)) * static_cast<Index>(array.itemsize());
}

template <class Array>
Index extent(const Array& array, std::size_t axis) {
  return axis < array.ndim() ? static_cast<Index>(array.shape(axis)) : 1;
}

/// The matrix of the axes `row` and `row + 1`.
template <class Data, class Array>
StridedMatrix<Data> matrix_at(const Array& array, std::size_t row) {
  return {array.data(),           element_type(array.dtype()), extent(array, row),
          extent(array, row + 1), stride(array, row),          stride(array, row + 1)};
}

}  // namespace

ImageView images_of(const ReadOnlyArray& array, bool channels_last) {
  if (array.ndim() != 4 && array.ndim() != 3)
    refuse_axes("the array of images", array.ndim(), "[N, C, H, W] or [N, H, W]");
  const bool has_channels = array.ndim() == 4;
  const std::size_t channel = !has_channels ? 4 : channels_last ? 3 : 1;
  const std::size_t row = has_channels && !channels_last ? 2 : 1, column = row + 1;
  return {array.data(),
          pixel_type(array.dtype()),
          extent(array, 0),
          {.channels = extent(array, channel),
           .height = extent(array, row),
           .width = extent(array, column)},
          {stride(array, 0), stride(array, channel), stride(array, row), stride(array, column)}};
}

MatrixView matrix_of(const ReadOnlyArray& array) {
  if (array.ndim() != 2 && array.ndim() != 1) refuse_axes("the matrix", array.ndim(), "[N, M]");
  return matrix_at<const void>(array, 0);
}

MatrixSpan matrix_of(const WritableArray& array) {
  if (array.ndim() != 2 && array.ndim() != 1) refuse_axes("the matrix", array.ndim(), "[N, M]");
  return matrix_at<void>(array, 0);
}

CubeSpan cube_of(const WritableArray& array) {
  if (array.ndim() != 3 && array.ndim() != 2)
    refuse_axes("the array of matrices", array.ndim(), "[P, N, M]");
  return {extent(array, 0), stride(array, 0), matrix_at<void>(array, 1)};
}

}  // namespace gramtile::python
