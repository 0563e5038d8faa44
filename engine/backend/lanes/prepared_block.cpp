#include "engine/backend/lanes/prepared_block.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "engine/core/errors.hpp"
#include "engine/lanes/lane_ranges.hpp"
#include "engine/lanes/lost_variances.hpp"
#include "engine/lanes/value_scales.hpp"
#include "engine/simd/kernels.hpp"

namespace gramtile {
namespace {

/// Of the maps as they are stored (value_scales.hpp). Variances beyond this would make products of
/// the pair recursion overflow.
template <class T>
constexpr double kLargestVariance = static_cast<double>(std::numeric_limits<T>::max()) / 16;
/// Below this 1/√xx squared would; such pixels count as black.
template <class T>
constexpr double kSmallestVariance = sizeof(T) == 4 ? 0x1p-120 : 0x1p-1000;
/// What may be lost of K(x, x) that way, relatively: its root is the error of K(x, y) relative to
/// √(K(x, x) K(y, y)), and far below what is promised (lost_variances.hpp).
template <class T>
constexpr double kMostLost = sizeof(T) == 4 ? 0x1p-46 : 0x1p-96;

/// One pack of variance lanes: which images it holds and what the kernel left.
struct VariancePack {
  Index first = 0;  ///< example within the block
  Index count = 0;  ///< lanes that hold an example
  Index lanes = 0;
  AlignedBuffer<double> images, variances;
};

/// Images side by side, their pixels in the order of lane_step.hpp.
void interleave(std::span<const double> pixels, const ImageShape& shape,
                std::span<const int> exponents, VariancePack& pack) {
  std::fill_n(pack.images.data(), pack.images.size(), 0.0);
  for (Index lane = 0; lane < pack.count; ++lane) {
    const double* from = pixels.data() + (pack.first + lane) * shape.num_values();
    const int exponent = exponents[as_size(pack.first + lane)];
    for (Index channel = 0; channel < shape.channels; ++channel) {
      double* to = pack.images.data() + channel * shape.num_pixels() * pack.lanes + lane;
      for (Index y = 0; y < shape.height; ++y) {
        const PixelRow row = pixel_row({shape.height, shape.width}, y);
        for (Index x = 0; x < shape.width; ++x) {
          to[row[x] * pack.lanes] = exponent == 0 ? *from : std::ldexp(*from, exponent);
          ++from;
        }
      }
    }
  }
}

/// The pixels of one lane, [C, H, W].
std::vector<double> image_of(const VariancePack& pack, const ImageShape& shape, Index lane) {
  std::vector<double> image;
  for (Index channel = 0; channel < shape.channels; ++channel) {
    const double* from = pack.images.data() + channel * shape.num_pixels() * pack.lanes + lane;
    for (Index y = 0; y < shape.height; ++y) {
      const PixelRow row = pixel_row({shape.height, shape.width}, y);
      for (Index x = 0; x < shape.width; ++x) image.push_back(from[row[x] * pack.lanes]);
    }
  }
  return image;
}

/// Of the images of a pack, where the network scales with them.
void choose_exponents(const LaneProgram& program, std::span<const double> pixels,
                      const VariancePack& pack, std::span<int> exponents) {
  if (!program.scales_images) return;
  const Index size = program.input.num_values();
  for (Index i = pack.first; i < pack.first + pack.count; ++i) {
    exponents[as_size(i)] = image_exponent(pixels.subspan(as_size(i * size), as_size(size)));
  }
}

/// What can be done about a number that T cannot hold.
template <class T>
std::string advice(double number) {
  const double size = std::abs(number);
  const bool double_holds_it =
      size >= std::numeric_limits<double>::min() && size <= kLargestVariance<double>;
  return sizeof(T) == 4 && double_holds_it
             ? "--dtype float64 holds it, or scale the pixels or the network's variances"
             : "no --dtype holds it: scale the pixels or the network's variances";
}

template <class T>
constexpr const char* kTypeName = sizeof(T) == 4 ? "float32" : "float64";

[[noreturn]] void refuse(const std::string& text) { throw Error(ErrorKind::kOther, text); }

/// K(x, x) = diagonal · 2^−exponent, if T can hold it: all digits, so that no K(x, y) that counts
/// beside √(K(x, x) K(y, y)) loses any.
template <class T>
double checked_diagonal(double diagonal, int exponent, Index example) {
  const double result = std::ldexp(diagonal, -exponent);
  // Only for a message: the power of ten where not even double holds the number.
  const auto text = [&] {
    if (diagonal == 0 || !std::isfinite(diagonal) || std::isnormal(result)) {
      return fmt::format("{:.3g}", result);
    }
    return fmt::format("about 1e{:.0f}", std::log10(std::abs(diagonal)) - 0.30103 * exponent);
  };
  if (!(result <= kLargestVariance<T>)) {
    refuse(fmt::format("image {}: K(x, x) is {}, which overflows {}; {}", example, text(),
                       kTypeName<T>, advice<T>(result)));
  }
  if (diagonal != 0 && result < static_cast<double>(std::numeric_limits<T>::min())) {
    refuse(fmt::format("image {}: K(x, x) is {}, too small for {}; {}", example, text(),
                       kTypeName<T>, advice<T>(result)));
  }
  return result;
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

/// What has been seen of an example's variances, as they are stored.
struct VarianceRange {
  double largest = 0;      ///< infinity for NaN
  bool lost_some = false;  ///< xx > 0 that counts as black
};

/// The numbers that `activation` keeps of some pixels of all maps.
template <class T>
void store_numbers(const LaneProgram& program, const PairFunction auto& activation,
                   const VariancePack& from, Index lane, Range pixels, const ExamplePlace<T>& to,
                   VarianceRange& range) {
  const Index first = program.input.num_values(), second = first + program.num_map_pixels;
  for (Index p = pixels.start; p < pixels.stop; ++p) {
    const double xx = from.variances[as_size(p * from.lanes + lane)];
    const bool black = xx < kSmallestVariance<T>;
    const StoredNumbers stored = activation.stored(black ? 0.0 : xx);
    range.largest =
        std::max(range.largest, std::isnan(xx) ? std::numeric_limits<double>::infinity() : xx);
    range.lost_some = range.lost_some || (black && xx != 0);
    to.row[first + p] = static_cast<T>(stored.row[0]);
    to.row[second + p] = static_cast<T>(stored.row[1]);
    to.pack[(first + p) * to.lanes] = static_cast<T>(stored.pack[0]);
    to.pack[(second + p) * to.lanes] = static_cast<T>(stored.pack[1]);
  }
}

/// Those of every activation.
template <class T>
void store_activation(const LaneProgram& program, const ActivationMap& map,
                      const VariancePack& from, PreparedBlock<T>& block,
                      std::vector<VarianceRange>& ranges) {
  ask(map.activation, [&](const auto& activation) {
    for_each_lane(map.num_pixels, from.count, [&](Range pixels, Index lane) {
      const Range placed{map.offset + pixels.start, map.offset + pixels.stop};
      store_numbers<T>(program, activation, from, lane, placed, place_of(block, from.first + lane),
                       ranges[as_size(lane)]);
    });
  });
}

/// Refuses an example whose variances T cannot hold: they overflow, or too much of K(x, x) comes
/// from some that count as black.
template <class T>
void check_variances(const LaneProgram& program, const VariancePack& from, Index lane,
                     const VarianceRange& range, Index example) {
  if (!(range.largest <= kLargestVariance<T>)) {
    refuse(fmt::format("image {}: a variance of {:.3g} overflows {}; {}", example, range.largest,
                       kTypeName<T>, advice<T>(range.largest)));
  }
  if (!range.lost_some) return;
  const double lost =
      lost_share(program, image_of(from, program.input, lane), kSmallestVariance<T>);
  if (lost <= kMostLost<T>) return;
  refuse(
      fmt::format("image {}: {:.2g} of K(x, x) comes from variances below {:.1g}, too small for {} "
                  "beside the network's biases; {}scale the pixels up",
                  example, lost, kSmallestVariance<T>, kTypeName<T>,
                  sizeof(T) == 4 ? "use --dtype float64, or " : ""));
}

/// Lanes of a pack from `first` on hold black images: pixels and variances of 0.
template <class T>
void store_black(const LaneProgram& program, Index pack, Index first, PreparedBlock<T>& block) {
  const Index lanes = simd::kernels<T>().lanes, numbers = program.input.num_values();
  T* const values = block.packs.data() + pack * block.view.pack_stride;
  for (const ActivationMap& map : program.activation_maps) {
    const StoredNumbers stored = ask(map.activation, [](const auto& f) { return f.stored(0); });
    for (Index p = map.offset; p < map.offset + map.num_pixels; ++p) {
      for (const int k : {0, 1}) {
        T* const to = values + (numbers + k * program.num_map_pixels + p) * lanes;
        std::fill(to + first, to + lanes, static_cast<T>(stored.pack[k]));
      }
    }
  }
}

template <class T>
void store_examples(const LaneProgram& program, const VariancePack& from, const double* slots,
                    PreparedBlock<T>& block) {
  const auto place = [&](Index lane) { return place_of(block, from.first + lane); };
  std::vector<VarianceRange> ranges(as_size(from.count));
  for_each_lane(program.input.num_values(), from.count, [&](Range values, Index lane) {
    store_pixels<T>(from, lane, values, place(lane));
  });
  for (const ActivationMap& map : program.activation_maps) {
    store_activation(program, map, from, block, ranges);
  }
  const Index extra = program.input.num_values() + 2 * program.num_map_pixels;
  for (Index lane = 0; lane < from.count; ++lane) {
    const Index example = from.first + lane;
    const ExamplePlace<T> to = place(lane);
    store_extra_maps(program, from, slots, lane, to.row + extra, to.pack + extra * to.lanes,
                     to.lanes);
    const Index number = block.examples.start + example;
    check_variances<T>(program, from, lane, ranges[as_size(lane)], number);
    double& diagonal = block.diagonal[as_size(example)];
    const int exponent = program.output_exponent + 2 * block.exponents[as_size(example)];
    diagonal = checked_diagonal<T>(diagonal, exponent, number);
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
  block.exponents.assign(as_size(examples.size()), 0);
  block.view = {block.packs.data(), block.rows.data(), values * lanes, row_stride};
  return block;
}

template <class T>
void reuse_block(const LaneProgram& program, Range examples, PreparedBlock<T>& block) {
  const Index num_rows = examples.size(), packs = num_packs<T>(num_rows);
  const auto suffices = [](const AlignedBuffer<T>& buffer, Index needed) {
    return buffer.size() > 0 && static_cast<Index>(buffer.size()) >= needed;
  };
  if (!suffices(block.packs, packs * block.view.pack_stride) ||
      !suffices(block.rows, num_rows * block.view.row_stride)) {
    block = PreparedBlock<T>();  // gives back what it had before it asks for more
    block = allocate_block<T>(program, examples);
    return;
  }
  block.examples = examples;
  block.diagonal.assign(as_size(num_rows), 0.0);
  block.exponents.assign(as_size(num_rows), 0);
  // Lanes without an example are black images.
  const Index stride = block.view.pack_stride;
  std::fill_n(block.packs.data() + (packs - 1) * stride, stride, T(0));
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
    choose_exponents(program, pixels, from, block.exponents);
    interleave(pixels, program.input, block.exponents, from);
    kernels.run(program.view(), {from.images.data(), from.variances.data(), workspace.slots.data(),
                                 workspace.scratch.data()});
    const double* diagonal =
        workspace.slots.data() + program.output_slot * program.slot_pixels * kernels.lanes;
    std::copy_n(diagonal, from.count, block.diagonal.begin() + from.first);
    store_examples(program, from, workspace.slots.data(), block);
  }
  if (stop < (pack + 1) * lanes) store_black(program, pack, stop - pack * lanes, block);
}

template struct PreparedBlock<float>;
template struct PreparedBlock<double>;
template PreparedBlock<float> allocate_block(const LaneProgram&, Range);
template PreparedBlock<double> allocate_block(const LaneProgram&, Range);
template void reuse_block(const LaneProgram&, Range, PreparedBlock<float>&);
template void reuse_block(const LaneProgram&, Range, PreparedBlock<double>&);
template void prepare_pack(const LaneProgram&, std::span<const double>, Index,
                           LaneWorkspace<double>&, PreparedBlock<float>&);
template void prepare_pack(const LaneProgram&, std::span<const double>, Index,
                           LaneWorkspace<double>&, PreparedBlock<double>&);
template Index num_packs<float>(Index);
template Index num_packs<double>(Index);

}  // namespace gramtile
