// The window of a conv2d or a dense layer on a map: checks, padding, and the shape that comes out.
#pragma once

#include "engine/core/index.hpp"
#include "engine/network/path.hpp"
#include "engine/network/program.hpp"

namespace gramtile {

/// Largest kernel_size, stride, dilation and padding. Products of two of them stay far inside
/// Index.
constexpr Index kMaxGeometry = Index{1} << 20;

/// Most pixels of one map, its padding included.
constexpr Index kMaxMapPixels = Index{1} << 22;

/// The checked geometry of `conv` on maps of shape `input`. Padding "same" and "circular" is
/// dilation·⌊k/2⌋ on both sides, less one dilation on the low side for even k
/// (docs/mathematics.md, eq. 5). Throws NetworkError at `path`.
WindowGeometry window_geometry(const Conv2d& conv, MapShape input, const Path& path);

/// One window over a whole map.
WindowGeometry whole_map(MapShape input);

/// Shape of the maps that `geometry` makes of maps of shape `input`. Requires that the window fits.
MapShape output_shape(const WindowGeometry& geometry, MapShape input);

}  // namespace gramtile
