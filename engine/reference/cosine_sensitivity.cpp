// With tangents ẋy, ẋx, ẏy of a relu's input by θ, and its slope and elasticity as functions of the
// angle, (π − ϑ)/2π and r·sin ϑ/4π, the output's tangent is
//
//   (π − ϑ)/2π · ẋy + r·sin ϑ/4π · (ẋx/xx + ẏy/yy),
//
// and moves with ϑ by −r/4π · (2ẋy/r − cos ϑ · (ẋx/xx + ẏy/yy)): not at all where θ scales the two
// images alike. The adjoint of the output carries that to ∂K/∂θ.
#include "engine/reference/cosine_sensitivity.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "engine/reference/backward.hpp"
#include "engine/reference/forward.hpp"
#include "engine/reference/relu.hpp"

namespace gramtile::reference {
namespace {

using std::numbers::pi;

class Tangents {
 public:
  Tangents(const Program& program, const Tape& tape, const Tape& adjoints, double delta)
      : program_(program), tape_(tape), adjoints_(adjoints), delta_(delta) {}

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
    const double k = static_cast<double>(op.geometry.kernel_size);
    for (const auto map : kEachMap) {
      const auto sum = [&](const Map& input) {
        return window_sum(op.geometry, shape_of(op.input), shape_of(op.output), input);
      };
      Map& out = tangent(op.output).*map;
      if (moved(op.input)) add(op.weight.value / (k * k), sum(tangent(op.input).*map), out);
      if (weight) add(op.weight.scale / (k * k), sum(value(op.input).*map), out);
      if (bias) {
        for (double& z : out) z += op.bias.scale;
      }
    }
  }

  void operator()(const ReluOp& op) {
    if (!moved(op.input)) return;
    set_moved(op.output);
    const PairMaps &in = value(op.input), &t = tangent(op.input);
    const Map& adjoint = adjoints_[static_cast<std::size_t>(op.output)].xy;
    PairMaps& out = tangent(op.output);
    for (std::size_t p = 0; p < in.xy.size(); ++p) {
      out.xx[p] = t.xx[p] / 2;
      out.yy[p] = t.yy[p] / 2;
      const ReluCovariance f = relu_covariance(in.xy[p], in.xx[p], in.yy[p]);
      const double r = std::sqrt(in.xx[p]) * std::sqrt(in.yy[p]);
      out.xy[p] = f.by_xy * t.xy[p];
      if (r == 0) {  // the angle is a convention
        sum_ += std::abs(adjoint[p] * t.xy[p]) * std::sqrt(2 * delta_) / (2 * pi);
        continue;
      }
      const double both = t.xx[p] / in.xx[p] + t.yy[p] / in.yy[p];
      const double c = std::clamp(in.xy[p] / r, -1.0, 1.0);
      out.xy[p] += f.elasticity * both;
      sum_ +=
          std::abs(adjoint[p]) * angle_error(c) * std::abs(2 * t.xy[p] - c * r * both) / (4 * pi);
    }
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
      for (const auto map : kEachMap) {
        add(op.weights[b], tangent(op.inputs[b]).*map, tangent(op.output).*map);
        add(by_logit, value(op.inputs[b]).*map, tangent(op.output).*map);
      }
    }
  }

 private:
  /// Of acos c, when c is off by delta.
  double angle_error(double c) const {
    const double sine = std::sqrt((1 - c) * (1 + c)), largest = std::sqrt(2 * delta_);
    return sine * largest <= delta_ ? largest : delta_ / sine;
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
  Tangents tangents(program, tape, adjoints, delta);
  std::vector<double> result;
  for (std::size_t p = 0; p < program.parameters.size(); ++p) {
    result.push_back(tangents.run(static_cast<Index>(p)));
  }
  return result;
}

}  // namespace gramtile::reference
