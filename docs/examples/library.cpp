// Fits the variances of a small network to labelled images by gradient descent.
#include <engine/xtensor.hpp>
#include <io/network/network_json.hpp>
#include <vector>
#include <xtensor/xmath.hpp>
#include <xtensor/xview.hpp>

using Images = xt::xtensor<double, 4>;  // [N, C, H, W]
using Matrix = xt::xtensor<double, 2>;

/// Two named numbers, shared by all layers; the network for given values of them.
gramtile::Network network_with(double w, double b) {
  gramtile::Network network = gramtile::read_network(R"({
    "parameters": {"w": 1, "b": 1},
    "layers": [
      {"type": "repeat", "times": 2, "layers": [
        {"type": "conv2d", "kernel_size": 3, "var_weight": {"parameter": "w", "scale": 9},
         "var_bias": "b"},
        {"type": "relu"}]},
      {"type": "conv2d", "kernel_size": 8, "padding": 0, "var_weight": "w", "var_bias": "b"}]})",
                                                     "example");
  network.parameters["w"].value = w;
  network.parameters["b"].value = b;
  return network;
}

/// L = ½ Σ (K − Y)²: how far K is from the labels' own Gram matrix; returns L at every step.
std::vector<double> fit(const Images& images, const Matrix& y, int num_steps) {
  const gramtile::ComputeOptions options{.data_type = gramtile::DataType::kFloat64};
  double w = 0.5, b = 0.1;
  std::vector<double> losses;
  for (int step = 0; step < num_steps; ++step) {
    // 1. The network, checked against the images' shape.
    const gramtile::Program program =
        gramtile::lower(network_with(w, b), gramtile::image_shape(images));
    // 2. K(x, x), [N, N].
    const Matrix k = gramtile::kernel_matrix<double>(program, images);
    losses.push_back(xt::sum(xt::square(k - y))() / 2);
    // 3. ∂L/∂θ from ∂L/∂K = K − Y: one number per parameter, never a map of all pairs.
    const Matrix upstream = k - y;
    const auto [names, gradient] = gramtile::kernel_gradient(program, images, upstream, options);
    for (std::size_t p = 0; p < names.size(); ++p) {
      (names[p] == "w" ? w : b) -= 1e-3 * gradient[p];
    }
  }
  return losses;
}

/// ∂K(test, train)/∂w, [N test, N train], at w = 0.5, b = 0.1.
Matrix sensitivity(const Images& test, const Images& train) {
  const gramtile::Program program =
      gramtile::lower(network_with(0.5, 0.1), gramtile::image_shape(train));
  const auto all = gramtile::kernel_jacobian<double>(program, test, train);
  const std::size_t p = all.parameters[0] == "w" ? 0 : 1;
  return xt::view(all.jacobian, p, xt::all(), xt::all());  // jacobian is [P, N test, N train]
}
