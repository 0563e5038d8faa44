#include "tests/bench/useful_operations.hpp"

#include <variant>

#include "tests/support/operation_table.hpp"

namespace gramtile::bench {
namespace {

template <class... Functions>
struct Overloads : Functions... {
  using Functions::operator()...;
};
template <class... Functions>
Overloads(Functions...) -> Overloads<Functions...>;

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
  const WindowAxis &y = op.geometry.y, &x = op.geometry.x;
  if (y.stride > 1 || x.stride > 1) {  // sums along x are made of every row
    return outputs * static_cast<double>((x.kernel_size - 1) * y.stride + y.kernel_size - 1) +
           affine;
  }
  return outputs * (additions_along_x(x.kernel_size) + additions(y.kernel_size)) + affine;
}

double operations(const Program& program, const ActivationOp& op) {
  const bool nonnegative = program.values[static_cast<std::size_t>(op.input)].nonnegative;
  return ask(op.activation, [&](const auto& function) {
    return pixels(program, op.input) * test::useful_operations(function, nonnegative);
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
    std::visit(Overloads{[&](const Conv2dOp& conv) { windows += pixels(program, conv.output); },
                         [&](const ActivationOp& of) { activations += pixels(program, of.input); },
                         [](const SumOp&) {}},
               op);
  }
  return activations > 0 ? activations : windows;
}

}  // namespace gramtile::bench
