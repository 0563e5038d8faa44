#include "engine/network/promised_accuracy.hpp"

#include <algorithm>

namespace gramtile {
namespace {

double depth_of(const Layers& layers);

double depth_of(const Conv2d&) { return 0; }
double depth_of(const Dense&) { return 0; }
double depth_of(const Identity&) { return 0; }
double depth_of(const Activation& activation) {
  return ask(activation, [](const auto& function) { return double{function.kDepth}; });
}
double depth_of(const Sequential& sequential) { return depth_of(sequential.layers); }
double depth_of(const Repeat& repeat) {
  return static_cast<double>(repeat.times) * depth_of(repeat.layers);
}

double depth_of(const std::vector<Layers>& branches) {
  double most = 0;
  for (const Layers& branch : branches) most = std::max(most, depth_of(branch));
  return most;
}
double depth_of(const Sum& sum) { return depth_of(sum.branches); }
double depth_of(const Mixture& mixture) { return depth_of(mixture.branches); }

double depth_of(const Layers& layers) {
  double sum = 0;
  for (const Layer& layer : layers) {
    sum += std::visit([](const auto& kind) { return depth_of(kind); }, layer.kind);
  }
  return sum;
}

}  // namespace

double relus_in_a_row(const Network& network) { return depth_of(network.layers); }

PromisedAccuracy promised_accuracy(const Network& network, DataType type) {
  const PromisedAccuracy& base = promised_accuracy(type);
  const double factor =
      std::max(1.0, relus_in_a_row(network) / static_cast<double>(kPromisedRelus));
  return {factor * base.kernel, factor * base.jacobian, factor * base.gradient};
}

double promised_cosine_error(DataType type) {
  return kPromisedCosineRoundings * (type == DataType::kFloat32 ? 0x1p-24 : 0x1p-53);
}

}  // namespace gramtile
