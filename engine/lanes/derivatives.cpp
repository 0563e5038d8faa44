#include "engine/lanes/derivatives.hpp"

#include <algorithm>
#include <vector>

namespace gramtile {
namespace {

/// ∂/∂logit_a = w_a Σ_b w_b (g_a − g_b), with h_b = g_b − g_d, d the branch of the largest weight:
/// w_a (h_a − Σ_b w_b h_b). What is subtracted from each other are the g alone; h_d = 0, so a
/// derivative by a dominant logit consists of the others' small weights.
void add_logit_derivatives(const MixtureTerms& mixture, std::span<const double> g,
                           std::span<double> derivatives) {
  const auto& branches = mixture.branches;
  const auto dominant =
      std::max_element(branches.begin(), branches.end(),
                       [](const auto& a, const auto& b) { return a.weight < b.weight; });
  const double g_dominant = g[static_cast<std::size_t>(dominant - branches.begin())];
  double mean = 0;
  for (std::size_t b = 0; b < branches.size(); ++b) {
    mean += branches[b].weight * (g[b] - g_dominant);
  }
  for (std::size_t b = 0; b < branches.size(); ++b) {
    derivatives[static_cast<std::size_t>(mixture.first_logit) + b] +=
        branches[b].weight * (g[b] - g_dominant - mean);
  }
}

}  // namespace

template <class Raw>
void add_derivatives(const ReverseProgram& program, const Raw* raw, Index stride,
                     std::span<double> derivatives) {
  const auto value = [&](Index step, int kind) {
    return static_cast<double>(raw[(step * kNumRaw + kind) * stride]);
  };
  for (const DerivativeTerm& term : program.terms) {
    derivatives[static_cast<std::size_t>(term.parameter)] +=
        term.coefficient * value(term.step, term.raw);
  }
  std::vector<double> g;
  for (const MixtureTerms& mixture : program.mixtures) {
    g.clear();
    for (const auto& b : mixture.branches) g.push_back(b.factor * value(b.step, b.raw));
    add_logit_derivatives(mixture, g, derivatives);
  }
}

template void add_derivatives(const ReverseProgram&, const float*, Index, std::span<double>);
template void add_derivatives(const ReverseProgram&, const double*, Index, std::span<double>);

}  // namespace gramtile
