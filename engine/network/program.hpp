// The network lowered to a flat list of operations on maps, checked against an image shape. Every
// engine (reference, lanes) runs this list; each operation produces one new value, so that reading
// the list backwards is the reverse pass.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "engine/core/index.hpp"
#include "engine/network/network.hpp"

namespace gramtile {

/// Number of a map in the program. Value 0 is the input.
using ValueId = Index;

constexpr Index kNoParameter = -1;

/// The pixel of an axis of `size` that stands at `position`, which may be beyond its ends, where
/// the axis is repeated for ever.
[[gnu::always_inline]] constexpr Index wrapped(Index position, Index size) {
  const Index rest = position % size;
  return rest < 0 ? rest + size : rest;
}

/// Window of a conv2d along one axis. Output size:
/// (size + pad_low + pad_high − reach − 1) / stride + 1, rounded down.
struct WindowAxis {
  Index kernel_size = 1;
  Index stride = 1;
  Index dilation = 1;
  Index pad_low = 0;
  Index pad_high = 0;

  /// Pixels from the first tap to the last.
  [[gnu::always_inline]] constexpr Index reach() const { return dilation * (kernel_size - 1); }
  constexpr bool operator==(const WindowAxis&) const = default;
};

/// Window of a conv2d, or of a dense layer.
struct WindowGeometry {
  WindowAxis y = {}, x = {};
  /// What stands in the padding: zeros, or the map's pixels from its other side, as often as it
  /// takes. Of windows without any padding it is false.
  bool circular = false;

  /// A window that is the same along both axes.
  static constexpr WindowGeometry square(const WindowAxis& axis) { return {axis, axis}; }
  [[gnu::always_inline]] constexpr Index num_taps() const { return y.kernel_size * x.kernel_size; }
  constexpr bool operator==(const WindowGeometry&) const = default;
};

/// One use of a variance: its value here, and which parameter it is differentiated for.
struct VarianceUse {
  double value = 0;                ///< scale · parameter's value
  Index parameter = kNoParameter;  ///< index into Program::parameters
  double scale = 1;                ///< ∂value/∂parameter
};

/// output = weight / taps · (window sum of input) + bias
struct Conv2dOp {
  ValueId input, output;
  WindowGeometry geometry;
  VarianceUse weight, bias;
};

/// output = F(input), the pair function of the activation (docs/mathematics.md, §3)
struct ActivationOp {
  ValueId input, output;
  Activation activation = {};
  Index number = 0;  ///< 0, 1, … in program order: which map of the variance stack it needs
};

/// output = Σ_b weights[b] · inputs[b]. A plain sum has weights of 1 and no logits. An input can
/// occur more than once.
struct SumOp {
  std::vector<ValueId> inputs;
  ValueId output;
  std::vector<double> weights;
  Index first_logit = kNoParameter;  ///< parameter index of logit 0; the others follow
};

using Op = std::variant<Conv2dOp, ActivationOp, SumOp>;

/// A differentiable number of the network.
struct Parameter {
  std::string name;  ///< "conv0.var_weight", "mixture0.logit1", or the user's name
  double value = 0;
};

/// What is known of a value before any image is seen.
struct Value {
  MapShape shape;
  /// True where xy cannot be negative: behind an activation that is not, and whatever is made of
  /// such, which every activation leaves so; see
  /// assume_nonnegative_images().
  bool nonnegative = false;
};

struct Program {
  ImageShape input;
  std::vector<Op> ops;
  std::vector<Value> values;  ///< by ValueId
  ValueId output = 0;         ///< its map is 1×1
  Index num_activations = 0;
  std::vector<Parameter> parameters;  ///< numbers depth-first in order of use, then the named ones
};

/// Checks the network and lowers it for images of `shape`.
/// Throws NetworkError with the path of what is wrong: a geometry that does not fit, a variance
/// that is negative or not finite, a slope beyond LeakyRelu::kLargestSlope, an unknown parameter
/// name, branches of unequal shape, a final map that is not 1×1 (naming the size reached), more
/// operations than `kMaxOps`, layers nested deeper than `kMaxNesting`.
Program lower(const Network& network, ImageShape shape);

/// For images without a negative pixel: their products, and what is made of them, are not negative
/// either, which spares the first relu a case. Changes last bits of K. Only for images whose pixels
/// have all been looked at: for others K would be wrong.
void assume_nonnegative_images(Program& program);

constexpr Index kMaxOps = 10'000;
/// Layers, branches and turns of repeats that are looked at; operations have their own bound.
constexpr Index kMaxSteps = 4 * kMaxOps;
constexpr int kMaxNesting = 64;

}  // namespace gramtile
