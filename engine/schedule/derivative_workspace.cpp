#include "engine/schedule/tile_derivative.hpp"
#include "engine/simd/kernels.hpp"

namespace gramtile {
namespace {

std::size_t as_size(Index n) { return static_cast<std::size_t>(n); }

/// Extents of the buffers, in elements.
struct Extents {
  Index adjoints, side_scratch, group, bend, raw, lanes;
  Index chain_adjoints, chain_raw, chain_images, chain_maps, chain_lanes;
};

template <class T>
Extents extents_of(const ReverseProgram& program, bool jacobian) {
  const LaneProgram& forward = *program.forward;
  const Index lanes = simd::kernels<T>().lanes, chain = simd::variance_kernels().lanes;
  const Index maps = program.num_adjoints * forward.slot_pixels;
  Extents e{};
  e.lanes = lanes;
  e.adjoints = maps * lanes * (jacobian ? 3 : 1);
  e.side_scratch = jacobian ? 2 * forward.scratch_vectors * lanes : 0;
  e.group = jacobian ? 0 : program.group_vectors * lanes;
  e.bend = jacobian ? forward.slot_pixels * lanes : 0;
  e.raw = program.num_raw() * lanes;
  e.chain_lanes = chain;
  e.chain_adjoints = maps * chain;
  e.chain_raw = program.num_raw() * chain;
  e.chain_images = forward.input.num_values() * chain;
  e.chain_maps = forward.num_map_pixels * chain;
  return e;
}

}  // namespace

template <class T>
DerivativeWorkspace<T>::DerivativeWorkspace(const ReverseProgram& program, bool jacobian)
    : pair(*program.forward, simd::kernels<T>().lanes),
      variance(*program.forward, simd::variance_kernels().lanes) {
  const Extents e = extents_of<T>(program, jacobian);
  adjoints = AlignedBuffer<T>(as_size(e.adjoints));
  side_scratch = AlignedBuffer<T>(as_size(e.side_scratch));
  group = AlignedBuffer<T>(as_size(e.group));
  bend = AlignedBuffer<T>(as_size(e.bend));
  raw = AlignedBuffer<T>(as_size(e.raw));
  seeds = AlignedBuffer<T>(as_size(e.lanes));
  chain_adjoints = AlignedBuffer<double>(as_size(e.chain_adjoints));
  chain_raw = AlignedBuffer<double>(as_size(e.chain_raw));
  chain_seeds = AlignedBuffer<double>(as_size(e.chain_lanes));
  chain_images = AlignedBuffer<double>(as_size(e.chain_images));
  chain_bend = AlignedBuffer<double>(as_size(e.chain_maps));
  variances = AlignedBuffer<double>(as_size(e.chain_maps));
}

template <class T>
std::size_t DerivativeWorkspace<T>::bytes(const ReverseProgram& program, bool jacobian) {
  const Extents e = extents_of<T>(program, jacobian);
  const Index pair_elements = e.adjoints + e.side_scratch + e.group + e.bend + e.raw + e.lanes;
  const Index chain_elements =
      e.chain_adjoints + e.chain_raw + e.chain_lanes + e.chain_images + 2 * e.chain_maps;
  return LaneWorkspace<T>::bytes(*program.forward, e.lanes) +
         LaneWorkspace<double>::bytes(*program.forward, e.chain_lanes) +
         as_size(pair_elements) * sizeof(T) + as_size(chain_elements) * sizeof(double);
}

template struct DerivativeWorkspace<float>;
template struct DerivativeWorkspace<double>;

}  // namespace gramtile
