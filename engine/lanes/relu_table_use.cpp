#include "engine/lanes/relu_table_use.hpp"

#include <variant>

#include "engine/activations/activation.hpp"
#include "engine/activations/relu_table.hpp"

namespace gramtile {
namespace {

constexpr double kRounding = 0x1p-24;  ///< of a float

}  // namespace

bool stays_in_relu_table(const Program& program) {
  struct Roundings {
    double operator()(const Conv2dOp& op) const {
      return 16 + static_cast<double>(op.geometry.y.kernel_size + op.geometry.x.kernel_size);
    }
    double operator()(const ActivationOp& op) const {
      return ask(op.activation, [](const auto& function) {
        return function.kHomogeneous ? double{function.kRoundings} : 1 / kRounding;
      });
    }
    double operator()(const SumOp& op) const { return 16 + static_cast<double>(op.inputs.size()); }
  };
  double roundings = static_cast<double>(program.input.channels);
  for (const Op& op : program.ops) roundings += std::visit(Roundings(), op);
  return roundings * kRounding < kReluTableMargin;
}

}  // namespace gramtile
