#include "engine/gramtile.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <utility>

#include "engine/schedule/compute_arrays.hpp"

namespace gramtile {
namespace {

template <std::size_t kRank>
std::span<const double> values_of(const xt::xtensor<double, kRank>& array) {
  return {array.data(), array.size()};
}

/// `values` as an array of that shape.
template <std::size_t kRank>
xt::xtensor<double, kRank> as_array(const std::vector<double>& values,
                                    const std::array<Index, kRank>& extents) {
  std::array<std::size_t, kRank> shape;
  std::ranges::transform(extents, shape.begin(),
                         [](Index n) { return static_cast<std::size_t>(n); });
  xt::xtensor<double, kRank> array(shape);
  std::ranges::copy(values, array.data());
  return array;
}

std::vector<std::string> names_of(const Program& program) {
  std::vector<std::string> names;
  for (const Parameter& parameter : program.parameters) names.push_back(parameter.name);
  return names;
}

std::string text(ImageShape shape) {
  return fmt::format("[{}, {}, {}]", shape.channels, shape.height, shape.width);
}

/// Looks at `images`.
ArraySource source_of(const Program& program, const ImageArray& images) {
  const ImageShape shape = image_shape(images);
  if (shape != program.input) {
    throw Error(ErrorKind::kUsage, fmt::format("images have shape {}, the network takes {}",
                                               text(shape), text(program.input)));
  }
  return ArraySource::view(shape, values_of(images));
}

ArrayUpstream upstream_of(const MatrixArray& upstream, Index num_rows, Index num_columns) {
  const auto rows = static_cast<Index>(upstream.shape(0));
  const auto columns = static_cast<Index>(upstream.shape(1));
  if (rows != num_rows || columns != num_columns) {
    throw Error(ErrorKind::kUsage, fmt::format("the upstream has shape [{}, {}], K has [{}, {}]",
                                               rows, columns, num_rows, num_columns));
  }
  return ArrayUpstream(values_of(upstream), rows, columns);
}

/// The images of one call; `columns` empty for K(rows, rows).
struct Sources {
  ArraySource rows;
  std::optional<ArraySource> columns;

  Sources(const Program& program, const ImageArray& x) : rows(source_of(program, x)) {}
  Sources(const Program& program, const ImageArray& x, const ImageArray& y)
      : rows(source_of(program, x)), columns(source_of(program, y)) {}

  BlockSource* columns_or_null() { return columns ? &*columns : nullptr; }
  Index num_columns() const { return columns ? columns->num_examples() : rows.num_examples(); }
};

MatrixArray matrix(const Program& program, Sources sources, const ComputeOptions& options) {
  const ArrayResult result =
      compute_arrays(program, sources.rows, sources.columns_or_null(), options);
  return as_array<2>(result.kernel, {result.num_rows, result.num_columns});
}

KernelGradient gradient(const Program& program, Sources sources, const MatrixArray& upstream,
                        const ComputeOptions& options) {
  ArrayUpstream source = upstream_of(upstream, sources.rows.num_examples(), sources.num_columns());
  return kernel_gradient(program, sources.rows, sources.columns_or_null(), source, options);
}

KernelJacobian jacobian(const Program& program, Sources sources, const ComputeOptions& options) {
  const ArrayResult result = compute_arrays(program, sources.rows, sources.columns_or_null(),
                                            options, Derivative::kJacobian);
  const auto num_parameters = static_cast<Index>(program.parameters.size());
  return {names_of(program),
          as_array<3>(result.jacobian, {num_parameters, result.num_rows, result.num_columns}),
          as_array<2>(result.kernel, {result.num_rows, result.num_columns})};
}

}  // namespace

ImageShape image_shape(const ImageArray& images) {
  return {.channels = static_cast<Index>(images.shape(1)),
          .height = static_cast<Index>(images.shape(2)),
          .width = static_cast<Index>(images.shape(3))};
}

MatrixArray kernel_matrix(const Program& program, const ImageArray& x,
                          const ComputeOptions& options) {
  return matrix(program, {program, x}, options);
}

MatrixArray kernel_matrix(const Program& program, const ImageArray& rows, const ImageArray& columns,
                          const ComputeOptions& options) {
  return matrix(program, {program, rows, columns}, options);
}

KernelGradient kernel_gradient(const Program& program, const ImageArray& x,
                               const MatrixArray& upstream, const ComputeOptions& options) {
  return gradient(program, {program, x}, upstream, options);
}

KernelGradient kernel_gradient(const Program& program, const ImageArray& rows,
                               const ImageArray& columns, const MatrixArray& upstream,
                               const ComputeOptions& options) {
  return gradient(program, {program, rows, columns}, upstream, options);
}

KernelGradient kernel_gradient(const Program& program, BlockSource& rows, BlockSource* columns,
                               UpstreamSource& upstream, const ComputeOptions& options) {
  ArrayResult result =
      compute_arrays(program, rows, columns, options, Derivative::kGradient, &upstream);
  return {names_of(program), std::move(result.gradient)};
}

KernelJacobian kernel_jacobian(const Program& program, const ImageArray& x,
                               const ComputeOptions& options) {
  return jacobian(program, {program, x}, options);
}

KernelJacobian kernel_jacobian(const Program& program, const ImageArray& rows,
                               const ImageArray& columns, const ComputeOptions& options) {
  return jacobian(program, {program, rows, columns}, options);
}

}  // namespace gramtile
