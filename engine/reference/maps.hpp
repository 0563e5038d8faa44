// Covariance maps of one pair of images and the window sum over them, written for reading.
#pragma once

#include <span>
#include <vector>

#include "engine/core/index.hpp"
#include "engine/network/program.hpp"

namespace gramtile::reference {

/// One number per pixel, row-major.
using Map = std::vector<double>;

/// What is known of a pair (x, y) at one layer: the covariance map and the two variance maps. Used
/// for adjoints too: then each number is ∂K by the number at its place.
struct PairMaps {
  Map xy, xx, yy;

  static PairMaps zeros(MapShape shape);
};

/// The three maps, for what treats them alike.
inline constexpr Map PairMaps::*kEachMap[] = {&PairMaps::xy, &PairMaps::xx, &PairMaps::yy};

/// mean over channels of x·y, per pixel: the input of the network (docs/mathematics.md, eq. 1).
PairMaps input_maps(ImageShape shape, std::span<const double> x, std::span<const double> y);

/// Sum of `input` over the window at every output pixel; outside the map zeros, or the map again
/// (eq. 3).
Map window_sum(const WindowGeometry& geometry, MapShape input_shape, MapShape output_shape,
               const Map& input);

/// The adjoint of window_sum: adds to every input pixel the adjoints of the outputs that saw it.
void add_window_sum_adjoint(const WindowGeometry& geometry, MapShape input_shape,
                            MapShape output_shape, const Map& output_adjoint, double factor,
                            Map& input_adjoint);

}  // namespace gramtile::reference
