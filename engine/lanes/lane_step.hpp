// The lane program: what `Program` becomes for the SIMD kernels. Plain data, no std containers, so
// that sources compiled for newer instruction sets can read it.
//
// Maps of one pack live in numbered slots, [pixel][lane]. One step reads its source once, sums
// windows of it and writes its output once:
//
//   output = weight · Σ_window source + bias + addend_weight · addend
//
// An activation that the loops of window sums do not apply themselves (PairFunction::kFused) has a
// step of its own, a point step, which makes a map of a map, pixel by pixel: output = weight · F.
//
// The pixels of every map, and of every image, are in groups of kGroupRows rows, a group column by
// column: a kernel works on a column of a group at a time, and so finds all it needs in one place.
#pragma once

#include "engine/activations/activation_kind.hpp"
#include "engine/core/index.hpp"
#include "engine/network/program.hpp"

namespace gramtile {

/// Where a step takes the rows it sums from.
enum class RowSource {
  kImages,      ///< mean over channels of x·y
  kMap,         ///< a slot as it is
  kRelu,        ///< relu of a slot that can be negative
  kReluNonneg,  ///< relu of a slot that cannot, nor exceed √xx √yy by much (relu_table.hpp)
  kPoint,       ///< of a point step: LaneStep::activation of a slot, and no window
};

constexpr Index kNoSlot = -1;

/// Rows whose sums along y are taken together.
constexpr Index kGroupRows = 4;

/// The pixels of one row of a map: pixel x is at first + x · step.
struct PixelRow {
  Index first, step;
  [[gnu::always_inline]] constexpr Index operator[](Index x) const { return first + x * step; }
};

/// Row y of a map. The pixels below it, to the end of its group, follow it one by one; the last
/// group of a map has fewer rows when the height is no multiple.
[[gnu::always_inline]] constexpr PixelRow pixel_row(const MapShape& map, Index y) {
  const Index start = y / kGroupRows * kGroupRows, rest = map.height - start;
  return {start * map.width + (y - start), rest < kGroupRows ? rest : kGroupRows};
}

/// Row buffers at the start of scratch: a group for a step's source, one for the next step's, and a
/// row of zeros.
constexpr Index kZeroRow = 2 * kGroupRows, kNumRowBuffers = kZeroRow + 1;

/// A window that the fast path sums: along both axes every step one pixel, a known size, and
/// padding for which row buffers have room.
bool is_unit_window(const WindowGeometry& geometry);

/// A single window over the whole map.
bool is_whole_window(const WindowGeometry& geometry, const MapShape& input, const MapShape& output);

/// Extent of a row of sums along x, for outputs of this width [vectors].
constexpr Index sums_stride(const MapShape& output) { return (output.width + 3) / 4 * 4; }

/// Weights that derivatives are divided by are larger than this.
constexpr double kSmallestDivisor = 1e-9;

struct LaneStep {
  RowSource source = RowSource::kMap;
  Index input_slot = kNoSlot;  ///< unused for kImages
  Index output_slot = kNoSlot;
  Index addend_slot = kNoSlot;
  Index map_offset = 0;            ///< relu, point: first pixel of its maps in the variance stack
  ActivationCode activation = {};  ///< kPoint
  MapShape input, output;
  WindowGeometry geometry;
  double weight = 1;  ///< var_weight / taps, a relu's ½ included
  double bias = 0;
  double addend_weight = 1;
  bool addend_derivative = false;  ///< the addend's weight depends on parameters
  /// The step before sums this step's source along x, row by row as it makes its own output.
  bool sums_ready = false;
  /// A relu without a window: forwards, the step before applies it to its own output, scales it,
  /// adds the addend, and puts out what this step should.
  bool applied_before = false;
  /// False when nobody reads the output but the next step, through `sums_ready` or
  /// `applied_before`.
  bool stores_output = true;
  /// A tape: the output is no sum of maps, and nobody reads it but the next step's relu, whose
  /// gradient can do with its haversine (relu-inl.hpp, complete_weights.hpp).
  bool haversine_suffices = false;
  Index sums_offset = 0;  ///< where the sums along x stand among the sums of all steps [vectors]

  /// No window to sum: every output pixel comes from the input pixel at its place.
  constexpr bool pointwise() const { return geometry == WindowGeometry{}; }
};

/// The step's source is the relu of a map.
bool reads_relu(const LaneStep& step);

/// The step reads numbers of the variance stack, at its map_offset.
bool reads_variances(const LaneStep& step);

/// The step's only window is the whole map.
bool sums_whole_map(const LaneStep& step);

/// Output rows are written only after the input rows at their place have been read.
bool can_run_in_place(const LaneStep& step);

/// What a forward pass leaves in the slots for a way back. Without a tape, kKernel alone.
enum class ForwardMode {
  kKernel,        ///< K; on a tape, every stored value as it is
  kJacobian,      ///< haversines in place of values where they suffice (LaneStep)
  kGradient,      ///< the same, and of steps that read the images the sums of windows (ReluEnd)
  kGradientTurn,  ///< as kGradient, without the last two steps: the way back runs them (ReluTurn)
};

/// Steps at the end that a forward pass leaves to the way back.
constexpr Index num_left(ForwardMode mode) { return mode == ForwardMode::kGradientTurn ? 2 : 0; }

constexpr bool keeps_haversines(ForwardMode mode) { return mode != ForwardMode::kKernel; }

constexpr bool keeps_sums(ForwardMode mode) {
  return mode == ForwardMode::kGradient || mode == ForwardMode::kGradientTurn;
}

/// A lane program as the kernels see it.
struct LaneSteps {
  const LaneStep* steps = nullptr;
  Index num_steps = 0;
  Index output_slot = 0;
  Index channels = 0;
  Index num_pixels = 0;        ///< of the input image
  Index num_map_pixels = 0;    ///< of all activations together: extent of a variance stack
  Index num_extra_pixels = 0;  ///< of maps that derivatives need beside the activations
  Index num_slots = 0;
  Index slot_stride = 0;      ///< between slots [vectors]
  Index row_vectors = 0;      ///< extent of a row buffer [vectors]
  Index scratch_vectors = 0;  ///< extent of scratch [vectors]
  bool keeps_values = false;  ///< a tape: no slot is used twice
  ForwardMode mode = ForwardMode::kKernel;
};

/// The images and variance stacks of one block, in two layouts: as columns, packs of `lanes`
/// examples interleaved [value][lane]; as rows, one example after the other. Per example (row) or
/// pack (column): pixels [channels · num_pixels], then the first numbers that activations keep
/// (StoredNumbers) [num_map_pixels], then the second [num_map_pixels]. Of a relu: √xx, and 1/√xx
/// (rows: half of it), both 0 where xx = 0.
template <class T>
struct LaneBlock {
  const T* packs = nullptr;
  const T* rows = nullptr;
  Index pack_stride = 0;  ///< elements between packs
  Index row_stride = 0;   ///< elements between rows
};

/// Buffers and inputs of one pack.
template <class T>
struct PackOperands {
  const T* row;   ///< one row of a LaneBlock
  const T* pack;  ///< one pack of a LaneBlock
  T* slots;       ///< maps, [slot][pixel][lane]
  T* scratch;     ///< row buffers of the window sums; needs no initial values
};

/// Buffers of one pack of images whose variances are computed.
struct VarianceOperands {
  const double* images;  ///< [channels · num_pixels][lane]
  double* variances;     ///< [num_map_pixels][lane], output: xx of every activation's input
  double* slots;
  double* scratch;
};

/// Values per example in a LaneBlock.
constexpr Index values_per_example(const LaneSteps& program) {
  return program.channels * program.num_pixels + 2 * program.num_map_pixels +
         program.num_extra_pixels;
}

}  // namespace gramtile
