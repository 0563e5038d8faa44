#include "engine/reference/reference.hpp"

#include "engine/reference/backward.hpp"
#include "engine/reference/forward.hpp"

namespace gramtile::reference {
namespace {

double output_of(const Program& program, const Tape& tape, OutputMap output) {
  return (tape[static_cast<std::size_t>(program.output)].*output)[0];
}

PairGradient entry_gradient(const Program& program, std::span<const double> x,
                            std::span<const double> y, OutputMap output) {
  const Tape tape = run_forward(program, x, y);
  return {.kernel = output_of(program, tape, output),
          .gradient = run_backward(program, tape, output)};
}

}  // namespace

double kernel(const Program& program, std::span<const double> x, std::span<const double> y) {
  return output_of(program, run_forward(program, x, y), &PairMaps::xy);
}

double kernel_diagonal(const Program& program, std::span<const double> x) {
  return output_of(program, run_forward(program, x, x), &PairMaps::xx);
}

PairGradient kernel_gradient(const Program& program, std::span<const double> x,
                             std::span<const double> y) {
  return entry_gradient(program, x, y, &PairMaps::xy);
}

PairGradient kernel_diagonal_gradient(const Program& program, std::span<const double> x) {
  return entry_gradient(program, x, x, &PairMaps::xx);
}

}  // namespace gramtile::reference
