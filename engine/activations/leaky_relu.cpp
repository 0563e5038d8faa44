#include "engine/activations/leaky_relu.hpp"

#include "engine/activations/relu.hpp"

namespace gramtile {
namespace {

double part_of_relu(double slope) { return (1 - slope) * (1 - slope); }

}  // namespace

PairValue LeakyRelu::at(const PixelPair& p) const {
  const double part = part_of_relu(negative_slope);
  const PairValue f = Relu().at(p);
  return {part * f.value + negative_slope * p.xy, part * f.by_xy + negative_slope, part * f.by_xx,
          part * f.by_yy};
}

StoredNumbers LeakyRelu::stored(double xx) const { return Relu().stored(xx); }

double LeakyRelu::movement(const PixelPair& p, const PixelPair& tangent, double delta) const {
  return part_of_relu(negative_slope) * Relu().movement(p, tangent, delta);
}

}  // namespace gramtile
