#include "engine/backend/lanes/tile_derivative.hpp"
#include "engine/simd/kernels.hpp"

namespace gramtile {
namespace {

/// Extents of the buffers, in elements.
struct Extents {
  Index adjoints, side_scratch, group, bend, raw, lanes;
};

template <class T>
Extents extents_of(const ReverseProgram& program, bool jacobian) {
  const LaneProgram& forward = *program.forward;
  const Index lanes = simd::kernels<T>().lanes;
  const Index maps = program.num_adjoints * forward.slot_pixels;
  Extents e{};
  e.lanes = lanes;
  e.adjoints = maps * lanes * (jacobian ? 3 : 1);
  e.side_scratch = jacobian ? 2 * forward.scratch_vectors * lanes : 0;
  e.group = jacobian ? 0 : program.group_vectors * lanes;
  e.bend = (jacobian ? forward.slot_pixels : forward.num_map_pixels) * lanes;
  e.raw = program.num_raw() * lanes;
  return e;
}

}  // namespace

template <class T>
DerivativeWorkspace<T>::DerivativeWorkspace(const ReverseProgram& program, bool jacobian)
    : pair(*program.forward, simd::kernels<T>().lanes) {
  const Extents e = extents_of<T>(program, jacobian);
  adjoints = AlignedBuffer<T>(as_size(e.adjoints));
  side_scratch = AlignedBuffer<T>(as_size(e.side_scratch));
  group = AlignedBuffer<T>(as_size(e.group));
  bend = AlignedBuffer<T>(as_size(e.bend));
  raw = AlignedBuffer<T>(as_size(e.raw));
  seeds = AlignedBuffer<T>(as_size(e.lanes));
}

template <class T>
std::size_t DerivativeWorkspace<T>::bytes(const ReverseProgram& program, bool jacobian) {
  const Extents e = extents_of<T>(program, jacobian);
  const Index elements = e.adjoints + e.side_scratch + e.group + e.bend + e.raw + e.lanes;
  return LaneWorkspace<T>::bytes(*program.forward, e.lanes) + as_size(elements) * sizeof(T);
}

template <class T>
void DerivativeWorkspace<T>::run_chain(const ReverseProgram& program, const PreparedBlock<T>& block,
                                       Index pack, const T* bends) {
  simd::kernels<T>().chain(program.view(),
                           {.pack = block.view.packs + pack * block.view.pack_stride,
                            .seeds = seeds.data(),
                            .bend = bends,
                            .adjoints = adjoints.data(),
                            .scratch = pair.scratch.data(),
                            .raw = raw.data()});
}

template struct DerivativeWorkspace<float>;
template struct DerivativeWorkspace<double>;

}  // namespace gramtile
