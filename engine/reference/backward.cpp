#include "engine/reference/backward.hpp"

#include <numeric>

namespace gramtile::reference {
namespace {

double dot(const Map& a, const Map& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

class Backward {
 public:
  Backward(const Program& program, const Tape& tape, Tape& adjoints, std::vector<double>& gradient)
      : program_(program), tape_(tape), adjoints_(adjoints), gradient_(gradient) {}

  // The transposed window sum; ∂/∂var_weight from the window sum itself, which also holds at
  // var_weight = 0 (eqs. 12 to 14).
  void operator()(const Conv2dOp& op) {
    const auto taps = static_cast<double>(op.geometry.num_taps());
    const MapShape input_shape = shape_of(op.input);
    const MapShape output_shape = shape_of(op.output);
    for (const auto map : kEachMap) {
      const Map& adjoint = adjoint_of(op.output).*map;
      const Map sum = window_sum(op.geometry, input_shape, output_shape, tape(op.input).*map);
      add(op.weight, dot(adjoint, sum) / taps);
      add(op.bias, std::accumulate(adjoint.begin(), adjoint.end(), 0.0));
      add_window_sum_adjoint(op.geometry, input_shape, output_shape, adjoint,
                             op.weight.value / taps, adjoint_of(op.input).*map);
    }
  }

  // The pair's adjoint through F, each variance's own through the diagonal.
  void operator()(const ActivationOp& op) {
    const PairMaps& in = tape(op.input);
    const PairMaps& adjoint = adjoint_of(op.output);
    PairMaps& input_adjoint = adjoint_of(op.input);
    ask(op.activation, [&](const auto& function) {
      for (std::size_t p = 0; p < in.xy.size(); ++p) {
        const PairValue f = function.at({in.xy[p], in.xx[p], in.yy[p]});
        const double a = adjoint.xy[p];
        input_adjoint.xy[p] += a * f.by_xy;
        input_adjoint.xx[p] += adjoint.xx[p] * function.diagonal_slope(in.xx[p]) + a * f.by_xx;
        input_adjoint.yy[p] += adjoint.yy[p] * function.diagonal_slope(in.yy[p]) + a * f.by_yy;
      }
    });
  }

  // Adjoints go back weighted; logits through the softmax: with g_b = Σ adjoint·input_b,
  // ∂K/∂logit_a = weight_a · Σ_b weight_b·(g_a − g_b) (eq. 15).
  void operator()(const SumOp& op) {
    std::vector<double> g(op.inputs.size(), 0.0);
    for (std::size_t b = 0; b < op.inputs.size(); ++b) {
      for (const auto map : kEachMap) {
        const Map& adjoint = adjoint_of(op.output).*map;
        Map& input_adjoint = adjoint_of(op.inputs[b]).*map;
        for (std::size_t p = 0; p < adjoint.size(); ++p) {
          input_adjoint[p] += op.weights[b] * adjoint[p];
        }
        g[b] += dot(adjoint, tape(op.inputs[b]).*map);
      }
    }
    if (op.first_logit == kNoParameter) return;
    for (std::size_t a = 0; a < g.size(); ++a) {
      double sum = 0;
      for (std::size_t b = 0; b < g.size(); ++b) sum += op.weights[b] * (g[a] - g[b]);
      gradient_[static_cast<std::size_t>(op.first_logit) + a] += op.weights[a] * sum;
    }
  }

 private:
  void add(const VarianceUse& use, double derivative) {
    if (use.parameter != kNoParameter) {
      gradient_[static_cast<std::size_t>(use.parameter)] += use.scale * derivative;
    }
  }

  MapShape shape_of(ValueId value) const {
    return program_.values[static_cast<std::size_t>(value)].shape;
  }
  const PairMaps& tape(ValueId value) const { return tape_[static_cast<std::size_t>(value)]; }
  PairMaps& adjoint_of(ValueId value) { return adjoints_[static_cast<std::size_t>(value)]; }

  const Program& program_;
  const Tape& tape_;
  Tape& adjoints_;
  std::vector<double>& gradient_;
};

}  // namespace

std::vector<double> run_backward(const Program& program, const Tape& tape, OutputMap output) {
  Tape adjoints;
  return run_backward(program, tape, output, adjoints);
}

std::vector<double> run_backward(const Program& program, const Tape& tape, OutputMap output,
                                 Tape& adjoints) {
  std::vector<double> gradient(program.parameters.size(), 0.0);
  adjoints.clear();
  for (const Value& value : program.values) {
    adjoints.push_back(PairMaps::zeros(value.shape));
  }
  (adjoints[static_cast<std::size_t>(program.output)].*output)[0] = 1;
  for (auto op = program.ops.rbegin(); op != program.ops.rend(); ++op) {
    std::visit(Backward(program, tape, adjoints, gradient), *op);
  }
  return gradient;
}

}  // namespace gramtile::reference
