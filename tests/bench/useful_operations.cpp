#include "tests/bench/useful_operations.hpp"

#include <variant>

namespace gramtile::bench {
namespace {

double pixels(const Program& program, ValueId value) {
  return static_cast<double>(program.values[static_cast<std::size_t>(value)].shape.num_pixels());
}

/// Additions per sum along one axis, for stride 1.
double additions(Index k) {
  if (k <= 2) return static_cast<double>(k - 1);
  return static_cast<double>(k / 2 + 2) / 2;
}
double additions_along_x(Index k) { return k == 7 ? 2.25 : additions(k); }

double operations(const Program& program, const Conv2dOp& op) {
  const double outputs = pixels(program, op.output);
  const double affine = outputs;
  if (outputs == 1) return pixels(program, op.input) + affine;
  const auto k = static_cast<double>(op.geometry.kernel_size);
  const auto stride = static_cast<double>(op.geometry.stride);
  if (op.geometry.stride > 1) return outputs * ((k - 1) * (stride + 1)) + affine;
  const Index size = op.geometry.kernel_size;
  return outputs * (additions_along_x(size) + additions(size)) + affine;
}

/// Of a pixel; of erf's, double: two products for ab and s, 11 for w, 18 of the polynomial and 4.
double operations(const Relu&, bool nonnegative) { return nonnegative ? 14 : 18; }
double operations(const LeakyRelu&, bool) { return 18 + 2; }
double operations(const Erf&, bool) { return 3 + 11 + 18 + 4; }

double operations(const Program& program, const ActivationOp& op) {
  const bool nonnegative = program.values[static_cast<std::size_t>(op.input)].nonnegative;
  return ask(op.activation, [&](const auto& function) {
    return pixels(program, op.input) * operations(function, nonnegative);
  });
}

double operations(const Program& program, const SumOp& op) {
  return pixels(program, op.output) * static_cast<double>(op.inputs.size() - 1);
}

}  // namespace

double useful_operations(const Program& program) {
  double total = static_cast<double>(program.input.num_values());
  for (const Op& op : program.ops) {
    total += std::visit([&](const auto& o) { return operations(program, o); }, op);
  }
  return total;
}

double layer_pixels(const Program& program) {
  double activations = 0, windows = 0;
  for (const Op& op : program.ops) {
    if (const auto* of = std::get_if<ActivationOp>(&op)) activations += pixels(program, of->input);
    if (const auto* conv = std::get_if<Conv2dOp>(&op)) windows += pixels(program, conv->output);
  }
  return activations > 0 ? activations : windows;
}

}  // namespace gramtile::bench
