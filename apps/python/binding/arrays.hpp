// NumPy's arrays as the engine's views: what they hold is looked at where it is.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include "engine/core/views.hpp"

namespace gramtile::python {

using ReadOnlyArray = nanobind::ndarray<nanobind::ro, nanobind::device::cpu>;
using WritableArray = nanobind::ndarray<nanobind::device::cpu>;

/// Images [N, C, H, W] or [N, H, W]; with `channels_last`, [N, H, W, C]. Strides of any sign.
/// Throws nanobind::type_error for elements other than uint8, float32, float64, and
/// nanobind::value_error for another number of axes.
ImageView images_of(const ReadOnlyArray& array, bool channels_last);

/// A matrix [N, M] of float32 or float64; of one axis [N], it is [N, 1].
MatrixView matrix_of(const ReadOnlyArray& array);
MatrixSpan matrix_of(const WritableArray& array);

/// Matrices [P, N, M]; of two axes [P, N], they are [P, N, 1].
CubeSpan cube_of(const WritableArray& array);

}  // namespace gramtile::python
