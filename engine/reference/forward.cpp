#include "engine/reference/forward.hpp"

#include <fmt/format.h>

#include "engine/core/errors.hpp"

namespace gramtile::reference {
namespace {

class Forward {
 public:
  Forward(const Program& program, Tape& tape) : program_(program), tape_(tape) {}

  // z → var_weight / taps · (window sum of z) + var_bias, on each of the three maps alike (eq. 4)
  void operator()(const Conv2dOp& op) {
    const auto taps = static_cast<double>(op.geometry.num_taps());
    for (const auto map : kEachMap) {
      Map sum = window_sum(op.geometry, shape_of(op.input), shape_of(op.output), at(op.input).*map);
      for (double& z : sum) {
        z = op.weight.value / taps * z + op.bias.value;
      }
      at(op.output).*map = std::move(sum);
    }
  }

  // xy → F(xy, xx, yy), xx → F(xx, xx, xx), yy → F(yy, yy, yy) (§3)
  void operator()(const ActivationOp& op) {
    const PairMaps& in = at(op.input);
    PairMaps& out = at(op.output);
    ask(op.activation, [&](const auto& function) {
      for (std::size_t p = 0; p < in.xy.size(); ++p) {
        out.xy[p] = function.at({in.xy[p], in.xx[p], in.yy[p]}).value;
        out.xx[p] = function.diagonal(in.xx[p]);
        out.yy[p] = function.diagonal(in.yy[p]);
      }
    });
  }

  // Σ_b weight_b · input_b, on each of the three maps alike (eq. 11)
  void operator()(const SumOp& op) {
    for (std::size_t b = 0; b < op.inputs.size(); ++b) {
      for (const auto map : kEachMap) {
        const Map& in = at(op.inputs[b]).*map;
        Map& out = at(op.output).*map;
        for (std::size_t p = 0; p < in.size(); ++p) {
          out[p] += op.weights[b] * in[p];
        }
      }
    }
  }

 private:
  MapShape shape_of(ValueId value) const {
    return program_.values[static_cast<std::size_t>(value)].shape;
  }
  PairMaps& at(ValueId value) { return tape_[static_cast<std::size_t>(value)]; }

  const Program& program_;
  Tape& tape_;
};

void check_size(const Program& program, std::span<const double> image) {
  const Index found = static_cast<Index>(image.size());
  if (found != program.input.num_values()) {
    throw Error(ErrorKind::kUsage, fmt::format("an image has {} values, the network takes {}",
                                               found, program.input.num_values()));
  }
}

}  // namespace

Tape run_forward(const Program& program, std::span<const double> x, std::span<const double> y) {
  check_size(program, x);
  check_size(program, y);
  Tape tape;
  for (const Value& value : program.values) {
    tape.push_back(PairMaps::zeros(value.shape));
  }
  tape[0] = input_maps(program.input, x, y);
  for (const Op& op : program.ops) {
    std::visit(Forward(program, tape), op);
  }
  return tape;
}

}  // namespace gramtile::reference
