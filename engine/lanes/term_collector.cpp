#include "engine/lanes/term_collector.hpp"

#include <algorithm>
#include <cmath>

namespace gramtile {

void TermCollector::add_convolution(const Conv2dOp& op, double source_factor, double scale) {
  const auto taps = static_cast<double>(op.geometry.num_taps());
  add(kRawWeight, op.weight, scale * source_factor / taps);
  add(kRawBias, op.bias, scale);
}

void TermCollector::add(RawDerivative raw, const VarianceUse& use, double coefficient) {
  if (use.parameter == kNoParameter) return;
  program_.terms.push_back({next_step(), raw, use.parameter, coefficient * use.scale});
}

void TermCollector::start_mixture(const SumOp& op) {
  pending_branches_ = op.inputs;
  MixtureTerms& mixture = program_.mixtures.emplace_back();
  mixture.first_logit = op.first_logit;
  for (const double weight : op.weights) mixture.branches.push_back({.weight = weight});
}

void TermCollector::add_mixture_branch(RawDerivative raw, ValueId value, double factor) {
  const auto found = std::find(pending_branches_.begin(), pending_branches_.end(), value);
  *found = -1;  // the same value can be several branches
  auto& branch = program_.mixtures.back()
                     .branches[static_cast<std::size_t>(found - pending_branches_.begin())];
  branch.step = next_step();
  branch.raw = raw;
  branch.factor = factor;
}

void TermCollector::scale(const std::vector<int>& exponents) {
  const auto scale_of = [&](Index step, int raw) {
    const auto exponent = [&](ValueId v) { return exponents[static_cast<std::size_t>(v)]; };
    const StepValues& values = program_.step_values[static_cast<std::size_t>(step)];
    int power = exponent(values.output) - program_.output_exponent;
    if (raw == kRawWeight) power -= exponent(values.source);
    if (raw == kRawAddend) power -= exponent(values.addend);
    return std::ldexp(1.0, power);
  };
  for (DerivativeTerm& term : program_.terms) term.coefficient *= scale_of(term.step, term.raw);
  for (MixtureTerms& mixture : program_.mixtures) {
    for (auto& branch : mixture.branches) branch.factor *= scale_of(branch.step, branch.raw);
  }
}

}  // namespace gramtile
