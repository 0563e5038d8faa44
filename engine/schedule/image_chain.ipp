// Definitions of image_chain.hpp.
#pragma once

#include <algorithm>

#include "engine/simd/kernels.hpp"

namespace gramtile {

inline Index chain_lanes() { return simd::variance_kernels().lanes; }

template <class T, class BendOf>
void run_image_chain(const PreparedBlock<T>& block, const ReverseProgram& program, Index first,
                     Index count, std::span<const double> seeds, const BendOf& bend_of,
                     DerivativeWorkspace<T>& workspace) {
  const Index lanes = chain_lanes();
  const LaneProgram& forward = *program.forward;
  const Index num_values = forward.input.num_values(), maps = forward.num_map_pixels;
  double* const images = workspace.chain_images.data();
  double* const bends = workspace.chain_bend.data();
  bool any_bend = false;
  for (Index lane = 0; lane < lanes; ++lane) {
    const bool used = lane < count;
    const T* row = block.view.rows + (first + (used ? lane : 0)) * block.view.row_stride;
    const double* bend = used ? bend_of(lane) : nullptr;
    any_bend = any_bend || bend != nullptr;
    workspace.chain_seeds[static_cast<std::size_t>(lane)] =
        used ? seeds[static_cast<std::size_t>(lane)] : 0.0;
    for (Index i = 0; i < num_values; ++i) images[i * lanes + lane] = static_cast<double>(row[i]);
    for (Index p = 0; p < maps; ++p) bends[p * lanes + lane] = bend != nullptr ? bend[p] : 0.0;
  }
  simd::variance_kernels().run(forward.view(),
                               {images, workspace.variances.data(), workspace.variance.slots.data(),
                                workspace.variance.scratch.data()});
  simd::variance_kernels().chain(
      program.view(),
      {images, workspace.variance.slots.data(), workspace.chain_seeds.data(),
       any_bend ? bends : nullptr, workspace.chain_adjoints.data(),
       workspace.variance.scratch.data(), workspace.chain_raw.data()});
}

}  // namespace gramtile
