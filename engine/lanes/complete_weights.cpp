#include "engine/lanes/complete_weights.hpp"

#include <numbers>

namespace gramtile {
namespace {

template <class T>
double rounded(double value) {
  return static_cast<double>(static_cast<T>(value));
}

}  // namespace

template <class T>
void complete_weights(const ReverseProgram& program, std::span<const double> bends,
                      std::span<double> raw) {
  for (std::size_t i = program.steps.size(); i-- > 0;) {  // first forward step first
    const ReverseStep& step = program.steps[i];
    if (!reads_relu(step.forward) || !(step.forward.weight > kSmallestDivisor)) continue;
    double products = bends[i] / std::numbers::pi;
    if (step.from_haversines) {
      const LaneStep& writer = program.steps[i + 1].forward;
      const std::span<const double> from = raw.subspan((i + 1) * kNumRaw, kNumRaw);
      products += rounded<T>(writer.weight) * from[kRawWeight];
      products += rounded<T>(writer.bias) * from[kRawBias];
    }
    raw[i * kNumRaw + kRawWeight] += products / rounded<T>(step.forward.weight);
  }
}

template void complete_weights<float>(const ReverseProgram&, std::span<const double>,
                                      std::span<double>);
template void complete_weights<double>(const ReverseProgram&, std::span<const double>,
                                       std::span<double>);

}  // namespace gramtile
