// Definitions of image_chain.hpp.
#pragma once

#include <algorithm>
#include <type_traits>

#include "engine/lanes/lane_ranges.hpp"
#include "engine/simd/kernels.hpp"

namespace gramtile {

inline Index chain_lanes() { return simd::variance_kernels().lanes; }

/// to[value · lanes + lane] = value `value` of lane `lane`, 0 in lanes from `count` on.
/// `values(lane, range, to)` writes a range of one lane's.
template <class Values>
void interleave_lanes(Index num_values, Index count, Index lanes, const Values& values,
                      double* to) {
  double some[kLaneRange] = {};
  for_each_lane(num_values, lanes, [&](Range range, Index lane) {
    if (lane < count) values(lane, range, some);
    if (lane == count) std::fill_n(some, kLaneRange, 0.0);
    for (Index i = 0; i < range.size(); ++i) to[(range.start + i) * lanes + lane] = some[i];
  });
}

template <class T, class Bends>
void run_image_chain(const PreparedBlock<T>& block, const ReverseProgram& program, Index first,
                     Index count, std::span<const double> seeds, const Bends& bends,
                     DerivativeWorkspace<T>& workspace) {
  constexpr bool kBends = !std::is_same_v<Bends, NoBends>;
  const Index lanes = chain_lanes();
  const LaneProgram& forward = *program.forward;
  double* const images = workspace.chain_images.data();
  const auto image = [&](Index lane, Range values, double* to) {
    const T* row = block.view.rows + (first + lane) * block.view.row_stride;
    for (Index i = 0; i < values.size(); ++i) to[i] = static_cast<double>(row[values.start + i]);
  };
  interleave_lanes(forward.input.num_values(), count, lanes, image, images);
  if constexpr (kBends) {
    interleave_lanes(forward.num_map_pixels, count, lanes, bends, workspace.chain_bend.data());
  }
  std::fill_n(workspace.chain_seeds.data(), lanes, 0.0);
  std::copy_n(seeds.data(), count, workspace.chain_seeds.data());
  simd::variance_kernels().run(forward.view(),
                               {images, workspace.variances.data(), workspace.variance.slots.data(),
                                workspace.variance.scratch.data()});
  simd::variance_kernels().chain(
      program.view(),
      {images, workspace.variance.slots.data(), workspace.chain_seeds.data(),
       kBends ? workspace.chain_bend.data() : nullptr, workspace.chain_adjoints.data(),
       workspace.variance.scratch.data(), workspace.chain_raw.data()});
}

}  // namespace gramtile
