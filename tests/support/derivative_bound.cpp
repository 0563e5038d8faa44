// Of a network of relus every adjoint is non-negative: weights, slopes and elasticities are. Of
// others the sizes of adjoints are carried, which only makes the bound larger. So sums of adjoints
// do not cancel, and an adjoint's error can be kept beside it. With u the unit rounding and ε =
// largest_covariance_error(), which bounds the relative error of xx and yy, and that of xy relative
// to s = √(xx·yy), at every value on the way:
//
//  activation  operation_table.hpp
//  sums    n terms: n u of the sum of their absolute values, in whatever order they are added.
#include "tests/support/derivative_bound.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "engine/reference/forward.hpp"
#include "engine/reference/maps.hpp"
#include "engine/schedule/compute.hpp"
#include "tests/support/rounding_bound.hpp"

namespace gramtile::test {
namespace {

using reference::add_window_sum_adjoint;
using reference::Map;
using reference::PairMaps;
using reference::Tape;
using reference::window_sum;

Map product(const Map& a, const Map& b) {
  Map result(a.size());
  std::ranges::transform(a, b, result.begin(), std::multiplies<>());
  return result;
}

double dot(const Map& a, const Map& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

PairMaps& at(Tape& maps, ValueId value) { return maps[static_cast<std::size_t>(value)]; }
const PairMaps& at(const Tape& maps, ValueId value) {
  return maps[static_cast<std::size_t>(value)];
}

/// As reference::Backward, with an error beside every adjoint.
class Bounds {
 public:
  Bounds(const Program& program, const Tape& tape, DataType type, AngleErrors angles)
      : program_(program),
        tape_(tape),
        u_(unit_rounding(type)),
        epsilon_(largest_covariance_error(program, type, tape)),
        fit_(relu_derivative_fit(type)),
        slopes_(type, epsilon_, angles) {
    for (const Value& value : program.values) {
      adjoints_.push_back(PairMaps::zeros(value.shape));
      errors_.push_back(PairMaps::zeros(value.shape));
    }
    result_.error.assign(program.parameters.size(), 0.0);
    result_.magnitude.assign(program.parameters.size(), 0.0);
  }

  DerivativeBound run(Map PairMaps::*output) {
    (at(adjoints_, program_.output).*output)[0] = 1;
    for (auto op = program_.ops.rbegin(); op != program_.ops.rend(); ++op) std::visit(*this, *op);
    for (std::size_t p = 0; p < result_.error.size(); ++p) {
      result_.error[p] += u_ * result_.magnitude[p];  // stored in the type
    }
    return result_;
  }

  void operator()(const Conv2dOp& op) {
    const auto taps = static_cast<double>(op.geometry.num_taps());
    const MapShape from = shape_of(op.input), to = shape_of(op.output);
    const double weight = op.weight.value / taps;
    for (const auto map : reference::kEachMap) {
      const Map &adjoint = at(adjoints_, op.output).*map, &error = at(errors_, op.output).*map;
      const double n = static_cast<double>(from.num_pixels() + to.num_pixels()) + taps + 8;
      const Map sizes = window_sum(op.geometry, from, to, size_of(op.input, map));
      const Map scales = window_sum(op.geometry, from, to, scale_of(op.input, map));
      // The lanes take xy behind a relu from slope and bend, with their fits' errors.
      const double source = 2 * (epsilon_ + slopes_.angle_fit(0) + fit_.sine) + 8 * u_;
      add(op.weight, (dot(error, sizes) + source * dot(adjoint, scales)) / taps,
          dot(adjoint, sizes) / taps, n);
      add(op.bias, std::accumulate(error.begin(), error.end(), 0.0),
          std::accumulate(adjoint.begin(), adjoint.end(), 0.0), n);
      Map sent(from_size(from), 0.0), sent_error(from_size(from), 0.0);
      add_window_sum_adjoint(op.geometry, from, to, adjoint, weight, sent);
      add_window_sum_adjoint(op.geometry, from, to, error, weight, sent_error);
      for (std::size_t p = 0; p < sent.size(); ++p) {
        send(op.input, map, p, sent[p], sent_error[p] + (2 * taps + 8) * u_ * sent[p]);
      }
    }
  }

  void operator()(const ActivationOp& op) {
    std::visit([&](const auto& function) { apply(function, op); }, op.activation);
  }

  void operator()(const SumOp& op) {
    std::vector<double> g(op.inputs.size(), 0.0), g_error(op.inputs.size(), 0.0);
    for (std::size_t b = 0; b < op.inputs.size(); ++b) {
      for (const auto map : reference::kEachMap) {
        const Map &adjoint = at(adjoints_, op.output).*map, &error = at(errors_, op.output).*map;
        const double w = op.weights[b], n = static_cast<double>(adjoint.size()) + 8;
        for (std::size_t p = 0; p < adjoint.size(); ++p) {
          send(op.inputs[b], map, p, w * adjoint[p], w * (error[p] + 4 * u_ * adjoint[p]));
        }
        const double size = dot(adjoint, size_of(op.inputs[b], map));
        const double source = 2 * (epsilon_ + slopes_.angle_fit(0) + fit_.sine) + 8 * u_;
        g[b] += size;
        g_error[b] += dot(error, size_of(op.inputs[b], map)) +
                      source * dot(adjoint, scale_of(op.inputs[b], map)) + n * u_ * size;
      }
    }
    if (op.first_logit == kNoParameter) return;
    for (std::size_t b = 0; b < g.size(); ++b) {
      const VarianceUse logit{.parameter = op.first_logit + static_cast<Index>(b)};
      const double w = op.weights[b];
      add(logit, w * (g_error[b] + dot(op.weights, g_error)), w * (g[b] + dot(op.weights, g)), 8);
    }
  }

 private:
  static std::size_t from_size(MapShape shape) {
    return static_cast<std::size_t>(shape.num_pixels());
  }

  template <class Function>
  void apply(const Function& function, const ActivationOp& op) {
    const PairMaps& in = at(tape_, op.input);
    const PairMaps &adjoint = at(adjoints_, op.output), &error = at(errors_, op.output);
    for (std::size_t p = 0; p < in.xy.size(); ++p) {
      for (const auto map : {&PairMaps::xx, &PairMaps::yy}) {
        const double slope = function.diagonal_slope((in.*map)[p]);
        const double own = slopes_.diagonal_error(function) * slope;
        send(op.input, map, p, (adjoint.*map)[p] * slope,
             (error.*map)[p] * slope + (adjoint.*map)[p] * own);
      }
      const Slopes slopes = slopes_.of(function, {in.xy[p], in.xx[p], in.yy[p]});
      const auto send_pair = [&](Map PairMaps::*map, double PairValue::*by) {
        send(op.input, map, p, adjoint.xy[p] * slopes.size.*by,
             error.xy[p] * slopes.size.*by + adjoint.xy[p] * slopes.error.*by);
      };
      send_pair(&PairMaps::xy, &PairValue::by_xy);
      send_pair(&PairMaps::xx, &PairValue::by_xx);
      send_pair(&PairMaps::yy, &PairValue::by_yy);
    }
  }

  /// A term of a parameter's derivative, made of `num_terms` terms.
  void add(const VarianceUse& use, double error, double magnitude, double num_terms) {
    if (use.parameter == kNoParameter) return;
    const auto p = static_cast<std::size_t>(use.parameter);
    result_.error[p] += use.scale * (error + num_terms * u_ * magnitude);
    result_.magnitude[p] += use.scale * magnitude;
  }

  /// Adds to the adjoint of a pixel, and rounds.
  void send(ValueId to, Map PairMaps::*map, std::size_t p, double adjoint, double error) {
    double& sum = (at(adjoints_, to).*map)[p];
    sum += adjoint;
    (at(errors_, to).*map)[p] += error + u_ * sum;
  }

  Map size_of(ValueId value, Map PairMaps::*map) const {
    Map sizes = at(tape_, value).*map;
    for (double& z : sizes) z = std::abs(z);
    return sizes;
  }
  /// What errors of the map are relative to: s = √(xx·yy) for xy, else the variance itself.
  Map scale_of(ValueId value, Map PairMaps::*map) const {
    if (map != &PairMaps::xy) return at(tape_, value).*map;
    Map scales = product(at(tape_, value).xx, at(tape_, value).yy);
    for (double& s : scales) s = std::sqrt(s);
    return scales;
  }

  MapShape shape_of(ValueId value) const {
    return program_.values[static_cast<std::size_t>(value)].shape;
  }

  const Program& program_;
  const Tape& tape_;
  double u_, epsilon_;
  ReluDerivativeFit fit_;
  SlopeBounds slopes_;
  Tape adjoints_, errors_;
  DerivativeBound result_;
};

}  // namespace

DerivativeBound derivative_bound(const Program& program, std::span<const double> x,
                                 std::span<const double> y, DataType type, bool diagonal,
                                 AngleErrors angles) {
  const Tape tape = reference::run_forward(program, x, y);
  return Bounds(program, tape, type, angles).run(diagonal ? &PairMaps::xx : &PairMaps::xy);
}

}  // namespace gramtile::test
