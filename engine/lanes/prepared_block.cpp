#include "engine/lanes/prepared_block.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/core/errors.hpp"
#include "engine/lanes/lane_ranges.hpp"
#include "engine/simd/kernels.hpp"

namespace gramtile {
namespace {

std::size_t as_size(Index n) { return static_cast<std::size_t>(n); }

/// Variances beyond this would make products of the pair recursion overflow; below the other bound
/// 1/√xx squared would: such pixels count as black (a contribution below 1e-36 in float).
template <class T>
constexpr double kLargestVariance = static_cast<double>(std::numeric_limits<T>::max()) / 16;
template <class T>
constexpr double kSmallestVariance = sizeof(T) == 4 ? 1e-36 : 1e-300;

/// One pack of variance lanes: which images it holds and what the kernel left.
struct VariancePack {
  Index first = 0;  ///< example within the block
  Index count = 0;  ///< lanes that hold an example
  Index lanes = 0;
  AlignedBuffer<double> images, variances;
};

/// Images side by side, their pixels in the order of lane_step.hpp.
void interleave(std::span<const double> pixels, const ImageShape& shape, VariancePack& pack) {
  std::fill_n(pack.images.data(), pack.images.size(), 0.0);
  for (Index lane = 0; lane < pack.count; ++lane) {
    const double* from = pixels.data() + (pack.first + lane) * shape.num_values();
    for (Index channel = 0; channel < shape.channels; ++channel) {
      double* to = pack.images.data() + channel * shape.num_pixels() * pack.lanes + lane;
      for (Index y = 0; y < shape.height; ++y) {
        const PixelRow row = pixel_row({shape.height, shape.width}, y);
        for (Index x = 0; x < shape.width; ++x) to[row[x] * pack.lanes] = *from++;
      }
    }
  }
}

template <class T>
[[noreturn]] void throw_overflow(Index example, double variance) {
  const bool single = sizeof(T) == 4;
  throw Error(ErrorKind::kOther,
              fmt::format("image {}: a variance of {:.3g} overflows {}; {}scale the pixels or the "
                          "network's variances down",
                          example, variance, single ? "float32" : "float64",
                          single ? "use --dtype float64, or " : ""));
}

/// Lane `lane` of the extra maps, which are still in the slots of the variance pass.
template <class T>
void store_extra_maps(const LaneProgram& program, const VariancePack& from, const double* slots,
                      Index lane, T* row, T* pack, Index lanes) {
  for (const ExtraMap& map : program.extra_maps) {
    const double* values = slots + map.slot * program.slot_pixels * from.lanes + lane;
    for (Index p = 0; p < map.num_pixels; ++p) {
      row[map.offset + p] = pack[(map.offset + p) * lanes] = static_cast<T>(values[p * from.lanes]);
    }
  }
}

/// Where an example's values go: its row, and its lane of a pack.
template <class T>
struct ExamplePlace {
  T *row, *pack;
  Index lanes;  ///< of the pack
};

template <class T>
ExamplePlace<T> place_of(PreparedBlock<T>& block, Index example) {
  const Index lanes = simd::kernels<T>().lanes;
  return {block.rows.data() + example * block.view.row_stride,
          block.packs.data() + example / lanes * block.view.pack_stride + example % lanes, lanes};
}

template <class T>
void store_pixels(const VariancePack& from, Index lane, Range values, const ExamplePlace<T>& to) {
  for (Index i = values.start; i < values.stop; ++i) {
    to.row[i] = to.pack[i * to.lanes] = static_cast<T>(from.images[as_size(i * from.lanes + lane)]);
  }
}

/// √xx and 1/√xx of some pixels of all relus' maps. Returns the largest xx, infinity for NaN.
template <class T>
double store_roots(const LaneProgram& program, const VariancePack& from, Index lane, Range pixels,
                   const ExamplePlace<T>& to) {
  const Index roots = program.input.num_values(), inverses = roots + program.num_map_pixels;
  double largest = 0;
  for (Index p = pixels.start; p < pixels.stop; ++p) {
    const double xx = from.variances[as_size(p * from.lanes + lane)];
    const double root = std::sqrt(xx);
    const bool black = xx < kSmallestVariance<T>;
    const double inverse = black ? 0.0 : 1.0 / root;
    largest = std::max(largest, std::isnan(xx) ? std::numeric_limits<double>::infinity() : xx);
    to.row[roots + p] = to.pack[(roots + p) * to.lanes] = black ? T(0) : static_cast<T>(root);
    to.pack[(inverses + p) * to.lanes] = static_cast<T>(inverse);
    to.row[inverses + p] = static_cast<T>(0.5 * inverse);
  }
  return largest;
}

template <class T>
void store_examples(const LaneProgram& program, const VariancePack& from, const double* slots,
                    PreparedBlock<T>& block) {
  const auto place = [&](Index lane) { return place_of(block, from.first + lane); };
  std::vector<double> largest(as_size(from.count), 0.0);
  for_each_lane(program.input.num_values(), from.count, [&](Range values, Index lane) {
    store_pixels<T>(from, lane, values, place(lane));
  });
  for_each_lane(program.num_map_pixels, from.count, [&](Range pixels, Index lane) {
    double& most = largest[as_size(lane)];
    most = std::max(most, store_roots<T>(program, from, lane, pixels, place(lane)));
  });
  const Index extra = program.input.num_values() + 2 * program.num_map_pixels;
  for (Index lane = 0; lane < from.count; ++lane) {
    const Index example = from.first + lane;
    const ExamplePlace<T> to = place(lane);
    store_extra_maps(program, from, slots, lane, to.row + extra, to.pack + extra * to.lanes,
                     to.lanes);
    const double most =
        std::max(largest[as_size(lane)], std::abs(block.diagonal[as_size(example)]));
    if (!(most <= kLargestVariance<T>)) throw_overflow<T>(block.examples.start + example, most);
  }
}

}  // namespace

template <class T>
Index num_packs(Index num_examples) {
  const Index lanes = simd::kernels<T>().lanes;
  return (num_examples + lanes - 1) / lanes;
}

template <class T>
std::size_t PreparedBlock<T>::bytes(const LaneProgram& program, Index num_examples) {
  const Index examples = num_packs<T>(num_examples) * simd::kernels<T>().lanes + num_examples;
  return as_size(examples * values_per_example(program.view())) * sizeof(T);
}

template <class T>
PreparedBlock<T> allocate_block(const LaneProgram& program, Range examples) {
  const Index lanes = simd::kernels<T>().lanes, values = values_per_example(program.view());
  PreparedBlock<T> block;
  block.examples = examples;
  // Rows start on cache lines of their own.
  const Index row_stride = (values + 31) / 32 * 32;
  block.packs = AlignedBuffer<T>(as_size(num_packs<T>(examples.size()) * values * lanes));
  block.rows = AlignedBuffer<T>(as_size(examples.size() * row_stride));
  block.diagonal.assign(as_size(examples.size()), 0.0);
  block.view = {block.packs.data(), block.rows.data(), values * lanes, row_stride};
  return block;
}

template <class T>
void prepare_pack(const LaneProgram& program, std::span<const double> pixels, Index pack,
                  LaneWorkspace<double>& workspace, PreparedBlock<T>& block) {
  const simd::VarianceKernels& kernels = simd::variance_kernels();
  const Index num_values = program.input.num_values();
  VariancePack from{
      .lanes = kernels.lanes,
      .images = AlignedBuffer<double>(as_size(num_values * kernels.lanes)),
      .variances = AlignedBuffer<double>(as_size(program.num_map_pixels * kernels.lanes))};
  const Index lanes = simd::kernels<T>().lanes;
  const Index stop = std::min((pack + 1) * lanes, block.examples.size());
  for (from.first = pack * lanes; from.first < stop; from.first += kernels.lanes) {
    from.count = std::min(kernels.lanes, stop - from.first);
    interleave(pixels, program.input, from);
    kernels.run(program.view(), {from.images.data(), from.variances.data(), workspace.slots.data(),
                                 workspace.scratch.data()});
    const double* diagonal =
        workspace.slots.data() + program.output_slot * program.slot_pixels * kernels.lanes;
    std::copy_n(diagonal, from.count, block.diagonal.begin() + from.first);
    store_examples(program, from, workspace.slots.data(), block);
  }
}

template struct PreparedBlock<float>;
template struct PreparedBlock<double>;
template PreparedBlock<float> allocate_block(const LaneProgram&, Range);
template PreparedBlock<double> allocate_block(const LaneProgram&, Range);
template void prepare_pack(const LaneProgram&, std::span<const double>, Index,
                           LaneWorkspace<double>&, PreparedBlock<float>&);
template void prepare_pack(const LaneProgram&, std::span<const double>, Index,
                           LaneWorkspace<double>&, PreparedBlock<double>&);
template Index num_packs<float>(Index);
template Index num_packs<double>(Index);

}  // namespace gramtile
