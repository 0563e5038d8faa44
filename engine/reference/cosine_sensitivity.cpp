// The tangents of every value by one parameter θ are carried forwards. Where an activation's xy is
// off, the tangent that it puts out moves (PairFunction::movement), and the adjoint of its output
// carries that to ∂K/∂θ.
#include "engine/reference/cosine_sensitivity.hpp"

#include <algorithm>
#include <cmath>

#include "engine/reference/backward.hpp"
#include "engine/reference/forward.hpp"

namespace gramtile::reference {
namespace {

/// By ValueId, how far xy may be off, relative to √(xx·yy): by delta, or by more where that is what
/// an activation makes of it. Window sums and sums pass errors on at their weights.
class CosineErrors {
 public:
  CosineErrors(const Program& program, const Tape& tape, double delta)
      : program_(program), tape_(tape), delta_(delta) {
    for (const Value& value : program.values) errors_.push_back(zeros(value.shape));
    raise_to_delta(0);
    for (const Op& op : program.ops) {
      std::visit(*this, op);
      raise_to_delta(std::visit([](const auto& any) { return any.output; }, op));
    }
  }

  std::vector<Map> relative() const {
    std::vector<Map> result = errors_;
    for (std::size_t v = 0; v < result.size(); ++v) {
      for (std::size_t p = 0; p < result[v].size(); ++p) {
        const double r = scale(v, p);
        result[v][p] = r > 0 ? std::max(result[v][p] / r, delta_) : delta_;
      }
    }
    return result;
  }

  void operator()(const Conv2dOp& op) {
    const auto taps = static_cast<double>(op.geometry.num_taps());
    const Map sum = window_sum(op.geometry, shape_of(op.input), shape_of(op.output), of(op.input));
    for (std::size_t p = 0; p < sum.size(); ++p) {
      of(op.output)[p] = op.weight.value / taps * sum[p];
    }
  }
  // The slopes are steepest at an end of any range of xy.
  void operator()(const ActivationOp& op) {
    const PairMaps& in = tape_[static_cast<std::size_t>(op.input)];
    ask(op.activation, [&](const auto& function) {
      for (std::size_t p = 0; p < in.xy.size(); ++p) {
        const double error = of(op.input)[p];
        const auto slope = [&](double xy) {
          return std::abs(function.at({xy, in.xx[p], in.yy[p]}).by_xy);
        };
        of(op.output)[p] = error * std::max(slope(in.xy[p] - error), slope(in.xy[p] + error));
      }
    });
  }
  void operator()(const SumOp& op) {
    for (std::size_t b = 0; b < op.inputs.size(); ++b) {
      const Map& in = of(op.inputs[b]);
      for (std::size_t p = 0; p < in.size(); ++p) of(op.output)[p] += op.weights[b] * in[p];
    }
  }

 private:
  static Map zeros(MapShape shape) {
    return Map(static_cast<std::size_t>(shape.num_pixels()), 0.0);
  }
  void raise_to_delta(ValueId value) {
    Map& errors = of(value);
    for (std::size_t p = 0; p < errors.size(); ++p) {
      errors[p] = std::max(errors[p], delta_ * scale(static_cast<std::size_t>(value), p));
    }
  }
  double scale(std::size_t value, std::size_t pixel) const {
    return std::sqrt(tape_[value].xx[pixel]) * std::sqrt(tape_[value].yy[pixel]);
  }
  MapShape shape_of(ValueId id) const {
    return program_.values[static_cast<std::size_t>(id)].shape;
  }
  Map& of(ValueId value) { return errors_[static_cast<std::size_t>(value)]; }

  const Program& program_;
  const Tape& tape_;
  double delta_;
  std::vector<Map> errors_;  // absolute
};

class Tangents {
 public:
  Tangents(const Program& program, const Tape& tape, const Tape& adjoints,
           const std::vector<Map>& errors, double delta)
      : program_(program), tape_(tape), adjoints_(adjoints), errors_(errors), delta_(delta) {}

  /// The tangents of every value by parameter `parameter`, and what they are sensitive to.
  double run(Index parameter) {
    parameter_ = parameter;
    sum_ = 0;
    tangents_.clear();
    for (const Value& value : program_.values) tangents_.push_back(PairMaps::zeros(value.shape));
    moved_.assign(program_.values.size(), false);
    for (const Op& op : program_.ops) std::visit(*this, op);
    return sum_;
  }

  void operator()(const Conv2dOp& op) {
    const bool weight = op.weight.parameter == parameter_, bias = op.bias.parameter == parameter_;
    if (!(moved(op.input) || weight || bias)) return;
    set_moved(op.output);
    const auto taps = static_cast<double>(op.geometry.num_taps());
    if (weight) {  // the derivative itself is a window sum of xy
      const Map more =
          window_sum(op.geometry, shape_of(op.input), shape_of(op.output), magnified(op.input));
      add_error(op.output, op.weight.scale / taps, more);
    }
    for (const auto map : kEachMap) {
      const auto sum = [&](const Map& input) {
        return window_sum(op.geometry, shape_of(op.input), shape_of(op.output), input);
      };
      Map& out = tangent(op.output).*map;
      if (moved(op.input)) add(op.weight.value / taps, sum(tangent(op.input).*map), out);
      if (weight) add(op.weight.scale / taps, sum(value(op.input).*map), out);
      if (bias) {
        for (double& z : out) z += op.bias.scale;
      }
    }
  }

  void operator()(const ActivationOp& op) {
    if (!moved(op.input)) return;
    set_moved(op.output);
    const PairMaps &in = value(op.input), &t = tangent(op.input);
    const Map& adjoint = adjoints_[static_cast<std::size_t>(op.output)].xy;
    const Map& error = errors_[static_cast<std::size_t>(op.input)];
    PairMaps& out = tangent(op.output);
    ask(op.activation, [&](const auto& function) {
      for (std::size_t p = 0; p < in.xy.size(); ++p) {
        const PixelPair at{in.xy[p], in.xx[p], in.yy[p]}, by{t.xy[p], t.xx[p], t.yy[p]};
        const PairValue f = function.at(at);
        out.xx[p] = function.diagonal_slope(at.xx) * by.xx;
        out.yy[p] = function.diagonal_slope(at.yy) * by.yy;
        out.xy[p] = f.by_xy * by.xy + f.by_xx * by.xx + f.by_yy * by.yy;
        sum_ += std::abs(adjoint[p]) * function.movement(at, by, error[p]);
      }
    });
  }

  void operator()(const SumOp& op) {
    const Index logit = op.first_logit == kNoParameter ? -1 : parameter_ - op.first_logit;
    const bool own = logit >= 0 && logit < static_cast<Index>(op.inputs.size());
    for (std::size_t b = 0; b < op.inputs.size(); ++b) {
      if (!moved(op.inputs[b]) && !own) continue;
      set_moved(op.output);
      // ∂weight_b/∂logit_a = weight_b·(δ_ab − weight_a)
      const double by_logit = !own ? 0
                                   : op.weights[b] * ((static_cast<Index>(b) == logit ? 1.0 : 0.0) -
                                                      op.weights[static_cast<std::size_t>(logit)]);
      if (own) add_error(op.output, std::abs(by_logit), magnified(op.inputs[b]));
      for (const auto map : kEachMap) {
        add(op.weights[b], tangent(op.inputs[b]).*map, tangent(op.output).*map);
        add(by_logit, value(op.inputs[b]).*map, tangent(op.output).*map);
      }
    }
  }

 private:
  /// By how much more than delta xy of a value may be off.
  Map magnified(ValueId id) const {
    const PairMaps& maps = value(id);
    Map result = errors_[static_cast<std::size_t>(id)];
    for (std::size_t p = 0; p < result.size(); ++p) {
      result[p] = (result[p] - delta_) * std::sqrt(maps.xx[p]) * std::sqrt(maps.yy[p]);
    }
    return result;
  }
  /// An error of factor · errors in the tangent of a value.
  void add_error(ValueId id, double factor, const Map& errors) {
    const Map& adjoint = adjoints_[static_cast<std::size_t>(id)].xy;
    for (std::size_t p = 0; p < errors.size(); ++p) {
      sum_ += std::abs(adjoint[p]) * factor * errors[p];
    }
  }

  static void add(double factor, const Map& from, Map& to) {
    for (std::size_t p = 0; p < to.size(); ++p) to[p] += factor * from[p];
  }

  MapShape shape_of(ValueId id) const {
    return program_.values[static_cast<std::size_t>(id)].shape;
  }
  const PairMaps& value(ValueId id) const { return tape_[static_cast<std::size_t>(id)]; }
  PairMaps& tangent(ValueId id) { return tangents_[static_cast<std::size_t>(id)]; }
  bool moved(ValueId id) const { return moved_[static_cast<std::size_t>(id)]; }
  void set_moved(ValueId id) { moved_[static_cast<std::size_t>(id)] = true; }

  const Program& program_;
  const Tape& tape_;
  const Tape& adjoints_;
  const std::vector<Map>& errors_;  // by ValueId: of xy, relative to √(xx·yy)
  double delta_;
  Index parameter_ = kNoParameter;
  double sum_ = 0;
  Tape tangents_;
  std::vector<bool> moved_;  // by ValueId: the tangent is not 0 everywhere
};

}  // namespace

std::vector<double> cosine_sensitivity(const Program& program, std::span<const double> x,
                                       std::span<const double> y, double delta) {
  const Tape tape = run_forward(program, x, y);
  Tape adjoints;
  run_backward(program, tape, &PairMaps::xy, adjoints);
  const std::vector<Map> errors = CosineErrors(program, tape, delta).relative();
  Tangents tangents(program, tape, adjoints, errors, delta);
  std::vector<double> result;
  for (std::size_t p = 0; p < program.parameters.size(); ++p) {
    result.push_back(tangents.run(static_cast<Index>(p)));
  }
  return result;
}

double magnified_error(const Program& program, std::span<const double> x, std::span<const double> y,
                       double delta) {
  const Tape tape = run_forward(program, x, y);
  const auto output = static_cast<std::size_t>(program.output);
  const double relative = CosineErrors(program, tape, delta).relative()[output][0];
  return (relative - delta) * std::sqrt(tape[output].xx[0]) * std::sqrt(tape[output].yy[0]);
}

}  // namespace gramtile::reference
