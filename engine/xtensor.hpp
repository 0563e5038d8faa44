// The front door on xtensor's arrays: row-major images [N, C, H, W] of std::uint8_t, float or
// double, matrices of float or double. `kernel_matrix<double>(program, x)` computes in float64 and
// returns it; options.data_type is that of the result here, whatever it says. Everything else is as
// engine/gramtile.hpp has it.
#pragma once

#include <string>
#include <vector>
#include <xtensor/xtensor.hpp>

#include "engine/gramtile.hpp"

namespace gramtile {

/// Shape of every image of the array, as lower() takes it.
template <class T>
ImageShape image_shape(const xt::xtensor<T, 4>& images) {
  return {.channels = static_cast<Index>(images.shape(1)),
          .height = static_cast<Index>(images.shape(2)),
          .width = static_cast<Index>(images.shape(3))};
}

template <class T>
ImageView view_of(const xt::xtensor<T, 4>& images) {
  return channels_first(images.data(), static_cast<Index>(images.shape(0)), image_shape(images));
}

template <class T>
MatrixView view_of(const xt::xtensor<T, 2>& matrix) {
  return matrix_view(matrix.data(), static_cast<Index>(matrix.shape(0)),
                     static_cast<Index>(matrix.shape(1)));
}

template <class T>
MatrixSpan span_of(xt::xtensor<T, 2>& matrix) {
  return matrix_span(matrix.data(), static_cast<Index>(matrix.shape(0)),
                     static_cast<Index>(matrix.shape(1)));
}

template <class T>
CubeSpan span_of(xt::xtensor<T, 3>& cube) {
  return cube_span(cube.data(), static_cast<Index>(cube.shape(0)),
                   static_cast<Index>(cube.shape(1)), static_cast<Index>(cube.shape(2)));
}

/// K(x, x), [N, N].
template <class T, class Pixel>
xt::xtensor<T, 2> kernel_matrix(const Program& program, const xt::xtensor<Pixel, 4>& x,
                                ComputeOptions options = {}) {
  xt::xtensor<T, 2> k({x.shape(0), x.shape(0)});
  options.data_type = data_type_of<T>();
  kernel_matrix(program, view_of(x), span_of(k), options);
  return k;
}

/// K(rows, columns), [N, M].
template <class T, class Pixel, class OtherPixel>
xt::xtensor<T, 2> kernel_matrix(const Program& program, const xt::xtensor<Pixel, 4>& rows,
                                const xt::xtensor<OtherPixel, 4>& columns,
                                ComputeOptions options = {}) {
  xt::xtensor<T, 2> k({rows.shape(0), columns.shape(0)});
  options.data_type = data_type_of<T>();
  kernel_matrix(program, view_of(rows), view_of(columns), span_of(k), options);
  return k;
}

/// ∂L/∂θ through K(x, x), computed in options.data_type; `upstream` is [N, N].
template <class Pixel, class T>
KernelGradient kernel_gradient(const Program& program, const xt::xtensor<Pixel, 4>& x,
                               const xt::xtensor<T, 2>& upstream,
                               const ComputeOptions& options = {}) {
  return kernel_gradient(program, view_of(x), view_of(upstream), options);
}

/// ∂L/∂θ through K(rows, columns); `upstream` is [N, M].
template <class Pixel, class OtherPixel, class T>
KernelGradient kernel_gradient(const Program& program, const xt::xtensor<Pixel, 4>& rows,
                               const xt::xtensor<OtherPixel, 4>& columns,
                               const xt::xtensor<T, 2>& upstream,
                               const ComputeOptions& options = {}) {
  return kernel_gradient(program, view_of(rows), view_of(columns), view_of(upstream), options);
}

/// ∂K/∂θ of every entry and parameter, and K itself.
template <class T>
struct KernelJacobian {
  std::vector<std::string> parameters;  ///< [P] names, in the order of Program::parameters
  xt::xtensor<T, 3> jacobian;           ///< [P, N, M]
  xt::xtensor<T, 2> kernel;             ///< [N, M]

  /// Room for them.
  KernelJacobian(const Program& program, std::size_t num_rows, std::size_t num_columns)
      : jacobian({program.parameters.size(), num_rows, num_columns}),
        kernel({num_rows, num_columns}) {
    for (const Parameter& parameter : program.parameters) parameters.push_back(parameter.name);
  }
};

/// Jacobian of K(x, x), M = N.
template <class T, class Pixel>
KernelJacobian<T> kernel_jacobian(const Program& program, const xt::xtensor<Pixel, 4>& x,
                                  ComputeOptions options = {}) {
  KernelJacobian<T> result(program, x.shape(0), x.shape(0));
  options.data_type = data_type_of<T>();
  kernel_jacobian(program, view_of(x), span_of(result.jacobian), span_of(result.kernel), options);
  return result;
}

/// Jacobian of K(rows, columns).
template <class T, class Pixel, class OtherPixel>
KernelJacobian<T> kernel_jacobian(const Program& program, const xt::xtensor<Pixel, 4>& rows,
                                  const xt::xtensor<OtherPixel, 4>& columns,
                                  ComputeOptions options = {}) {
  KernelJacobian<T> result(program, rows.shape(0), columns.shape(0));
  options.data_type = data_type_of<T>();
  kernel_jacobian(program, view_of(rows), view_of(columns), span_of(result.jacobian),
                  span_of(result.kernel), options);
  return result;
}

}  // namespace gramtile
