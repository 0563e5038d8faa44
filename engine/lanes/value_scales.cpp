#include "engine/lanes/value_scales.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace gramtile {
namespace {

/// Maps within 2^±40 keep their power: far inside float's range (2^±126), with room for images that
/// are mostly black or not about 1; and shortcuts that are multiplied by 1 stay so for longer.
constexpr int kSteadyExponent = 40;
/// And others come back to 2^±24, not further: a weight that changes by 2^±16 at once is still one
/// that can be divided by (kSmallestDivisor).
constexpr int kRestoredExponent = 24;
constexpr int kSteadyPixelExponent = 8;  ///< and images within 2^±8
constexpr int kNothing = std::numeric_limits<int>::min();
constexpr double kLargest = 1e300;  ///< of a map's entries, where no power keeps them near 1

/// mantissa · 2^exponent: weights and biases can be as small and large as double goes.
struct Scaled {
  double mantissa = 0;  ///< 0, or in [½, 1)
  int exponent = 0;
};

Scaled scaled(double value) {
  Scaled result;
  result.mantissa = std::frexp(value, &result.exponent);
  return result;
}

/// Variances of one image at one value, stored 2^exponent times as large.
struct Maps {
  std::vector<double> map;
  int exponent = 0;
};

/// Sums of a map over all rectangles from its first pixel on: [height + 1, width + 1].
class CornerSums {
 public:
  CornerSums(const MapShape& shape, const std::vector<double>& map)
      : shape_(shape), sums_(as_size((shape.height + 1) * (shape.width + 1)), 0.0) {
    for (Index y = 0; y < shape.height; ++y) {
      double row = 0;
      for (Index x = 0; x < shape.width; ++x) {
        row += map[as_size(y * shape.width + x)];
        at(y + 1, x + 1) = at(y, x + 1) + row;
      }
    }
  }
  /// Over pixels [y0, y1) × [x0, x1), clipped to the map.
  double over(Index y0, Index y1, Index x0, Index x1) const {
    y0 = std::clamp<Index>(y0, 0, shape_.height), y1 = std::clamp<Index>(y1, 0, shape_.height);
    x0 = std::clamp<Index>(x0, 0, shape_.width), x1 = std::clamp<Index>(x1, 0, shape_.width);
    const double sum = at(y1, x1) - at(y0, x1) - at(y1, x0) + at(y0, x0);
    return std::max(sum, 0.0);
  }

 private:
  double& at(Index y, Index x) { return sums_[as_size(y * (shape_.width + 1) + x)]; }
  double at(Index y, Index x) const { return sums_[as_size(y * (shape_.width + 1) + x)]; }
  MapShape shape_;
  std::vector<double> sums_;
};

/// Pixels of an axis under one window, as parts of the axis, each some number of times.
class Parts {
 public:
  struct Part {
    Range range;
    double times = 1;
  };

  Parts(const WindowAxis& axis, bool circular, Index position, Index size) {
    const Index start = position * axis.stride - axis.pad_low, count = axis.reach() + 1;
    if (!circular) {
      add({start, start + count}, 1);
      return;
    }
    if (count >= size) add({0, size}, static_cast<double>(count / size));
    const Index first = wrapped(start, size), rest = count % size;
    add({first, std::min(first + rest, size)}, 1);
    if (first + rest > size) add({0, first + rest - size}, 1);
  }
  const Part* begin() const { return parts_; }
  const Part* end() const { return parts_ + num_parts_; }

 private:
  void add(Range range, double times) { parts_[num_parts_++] = {range, times}; }
  Part parts_[3];
  int num_parts_ = 0;
};

/// Means over windows. Dilated windows are taken as full ones: the order of magnitude is all that
/// is asked for.
std::vector<double> window_means(const WindowGeometry& g, const MapShape& input,
                                 const MapShape& output, const std::vector<double>& map) {
  const CornerSums sums(input, map);
  const double pixels = static_cast<double>(g.y.reach() + 1) * static_cast<double>(g.x.reach() + 1);
  std::vector<double> means;
  means.reserve(as_size(output.num_pixels()));
  for (Index y = 0; y < output.height; ++y) {
    const Parts rows(g.y, g.circular, y, input.height);
    for (Index x = 0; x < output.width; ++x) {
      double sum = 0;
      for (const auto& [columns, columns_times] : Parts(g.x, g.circular, x, input.width)) {
        for (const auto& [part, times] : rows) {
          sum +=
              times * columns_times * sums.over(part.start, part.stop, columns.start, columns.stop);
        }
      }
      means.push_back(sum / pixels);
    }
  }
  return means;
}

/// Exponent of the largest entry, kNothing for a map of zeros.
int exponent_of(const std::vector<double>& map) {
  const double largest = *std::max_element(map.begin(), map.end());
  return largest > 0 ? std::ilogb(largest) : kNothing;
}

/// What `op` reads has to be stored as it is.
bool fixes_input(const Op& op) {
  struct Fixes {
    bool operator()(const Conv2dOp&) const { return false; }
    bool operator()(const ActivationOp& activation) const {
      return !is_homogeneous(activation.activation);
    }
    bool operator()(const SumOp&) const { return false; }
  };
  return std::visit(Fixes(), op);
}

/// Runs the variances of an image of ones through the network and chooses every value's exponent.
class Propagation {
 public:
  explicit Propagation(const Program& program)
      : program_(program),
        last_use_(program.values.size(), 0),
        fixed_(program.values.size(), false),
        maps_(program.values.size()) {
    for (std::size_t i = 0; i < program.ops.size(); ++i) {
      const bool fixes = fixes_input(program.ops[i]);
      for (const ValueId v : inputs_of(program.ops[i])) {
        last_use_[as_size(v)] = i;
        if (fixes) fixed_[as_size(v)] = true;
      }
    }
    maps_[0].map.assign(as_size(shape(0).num_pixels()), 1.0);
  }

  std::vector<int> run() {
    for (std::size_t i = 0; i < program_.ops.size(); ++i) {
      std::visit([this](const auto& op) { make(op); }, program_.ops[i]);
      for (const ValueId v : inputs_of(program_.ops[i])) {
        if (last_use_[as_size(v)] == i) maps_[as_size(v)].map = std::vector<double>();
      }
    }
    std::vector<int> exponents;
    for (const Maps& value : maps_) exponents.push_back(value.exponent);
    return exponents;
  }

 private:
  static std::vector<ValueId> inputs_of(const Op& op) {
    struct Inputs {
      std::vector<ValueId> operator()(const Conv2dOp& conv) const { return {conv.input}; }
      std::vector<ValueId> operator()(const ActivationOp& op) const { return {op.input}; }
      std::vector<ValueId> operator()(const SumOp& sum) const { return sum.inputs; }
    };
    return std::visit(Inputs(), op);
  }

  /// weight · mean + bias, in the power that the larger of the two asks for.
  void make(const Conv2dOp& op) {
    const Maps& in = maps_[as_size(op.input)];
    std::vector<double> means =
        window_means(op.geometry, shape(op.input), shape(op.output), in.map);
    Scaled weight = scaled(op.weight.value);
    const Scaled bias = scaled(op.bias.value);
    // Derivatives by a weight of 0 go on through the layers behind it: as if it were 1.
    if (weight.mantissa == 0 && bias.mantissa == 0) weight = scaled(1);
    const int linear = exponent_of(means);
    const bool has_linear = weight.mantissa != 0 && linear != kNothing;
    int largest = has_linear ? linear + weight.exponent : kNothing;
    if (bias.mantissa != 0) largest = std::max(largest, bias.exponent + in.exponent);
    const int shift = shift_for(largest);
    const int exponent = in.exponent + shift;
    const double factor = std::ldexp(weight.mantissa, weight.exponent + shift);
    const double constant = std::ldexp(bias.mantissa, bias.exponent + exponent);
    for (double& z : means) z = factor * z + constant;
    keep(op.output, std::move(means), exponent);
  }

  void make(const ActivationOp& op) {
    ask(op.activation, [&](const auto& function) {
      const Maps& in = maps_[as_size(op.input)];
      std::vector<double> out = in.map;
      int shift = 0;
      if (function.kHomogeneous) {
        const double gain = function.diagonal_slope(1);
        const int largest = exponent_of(out);
        shift = shift_for(largest == kNothing ? kNothing : largest + std::ilogb(gain));
        const double factor = std::ldexp(gain, shift);
        for (double& z : out) z *= factor;
      } else {
        for (double& z : out) z = function.diagonal(z);
        shift = shift_for(exponent_of(out));
        for (double& z : out) z = std::ldexp(z, shift);
      }
      keep(op.output, std::move(out), in.exponent + shift);
    });
  }

  /// In the power of the first branch with which the sum is steady, or else a new one.
  void make(const SumOp& op) {
    std::vector<int> largest(op.inputs.size(), kNothing);  // of the terms, as they are
    int most = kNothing;
    for (std::size_t b = 0; b < op.inputs.size(); ++b) {
      const Maps& in = maps_[as_size(op.inputs[b])];
      const int e = exponent_of(in.map);
      if (e == kNothing || op.weights[b] == 0) continue;
      largest[b] = e + scaled(op.weights[b]).exponent - in.exponent;
      most = std::max(most, largest[b]);
    }
    int exponent = maps_[as_size(op.inputs[0])].exponent;
    bool steady = most == kNothing;
    for (std::size_t b = 0; b < op.inputs.size() && !steady; ++b) {
      exponent = maps_[as_size(op.inputs[b])].exponent;
      steady = shift_for(most + exponent) == 0;
    }
    if (!steady) exponent += shift_for(most + exponent);
    std::vector<double> sum(as_size(shape(op.output).num_pixels()), 0.0);
    for (std::size_t b = 0; b < op.inputs.size(); ++b) {
      const Maps& in = maps_[as_size(op.inputs[b])];
      const double weight = std::ldexp(op.weights[b], exponent - in.exponent);
      for (std::size_t p = 0; p < sum.size(); ++p) sum[p] += weight * in.map[p];
    }
    keep(op.output, std::move(sum), exponent);
  }

  /// What has to be added to an exponent so that 2^largest comes back to 2^±24. Even, so that roots
  /// are multiplied by a power of two as well.
  static int shift_for(int largest) {
    if (largest == kNothing || std::abs(largest) <= kSteadyExponent) return 0;
    const int excess = (std::abs(largest) - kRestoredExponent) / 2 * 2;
    return largest > 0 ? -excess : excess;
  }

  void keep(ValueId value, std::vector<double> map, int exponent) {
    if (fixed_[as_size(value)] && exponent != 0) {
      for (double& z : map) z = std::min(std::ldexp(z, -exponent), kLargest);
      exponent = 0;
    }
    maps_[as_size(value)] = {std::move(map), exponent};
  }

  MapShape shape(ValueId v) const { return program_.values[as_size(v)].shape; }

  const Program& program_;
  std::vector<std::size_t> last_use_;  ///< by value: the operation that reads it last
  std::vector<bool> fixed_;            ///< by value: read by what is not homogeneous
  std::vector<Maps> maps_;             ///< by value; empty when nobody reads it any more
};

}  // namespace

std::vector<int> value_exponents(const Program& program) { return Propagation(program).run(); }

bool scales_with_images(const Program& program) {
  struct Scales {
    bool operator()(const Conv2dOp& op) const {
      return op.bias.value == 0 && op.bias.parameter == kNoParameter;
    }
    bool operator()(const ActivationOp& op) const { return is_homogeneous(op.activation); }
    bool operator()(const SumOp&) const { return true; }
  };
  return std::ranges::all_of(program.ops, [](const Op& op) { return std::visit(Scales(), op); });
}

int image_exponent(std::span<const double> pixels) {
  double largest = 0;
  for (const double pixel : pixels) largest = std::max(largest, std::abs(pixel));
  if (largest == 0 || !std::isfinite(largest)) return 0;
  const int exponent = std::ilogb(largest);
  return std::abs(exponent) <= kSteadyPixelExponent ? 0 : -exponent;
}

}  // namespace gramtile
