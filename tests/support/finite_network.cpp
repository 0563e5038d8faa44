#include "tests/support/finite_network.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace gramtile::test {
namespace {

/// [channels, H, W]
struct Activations {
  Index channels;
  MapShape shape;
  std::vector<double> values;

  double* channel(Index c) { return values.data() + c * shape.num_pixels(); }
  const double* channel(Index c) const { return values.data() + c * shape.num_pixels(); }
};

// One output channel: bias + Σ over input channels and taps of weight · input, zeros outside.
// `weights`: [channels in, k, k]
void convolve(const WindowGeometry& g, const Activations& in, std::span<const double> weights,
              double bias, MapShape shape, double* out) {
  for (Index row = 0; row < shape.height; ++row) {
    for (Index column = 0; column < shape.width; ++column) {
      double sum = bias;
      for (Index i = 0; i < g.kernel_size; ++i) {
        for (Index j = 0; j < g.kernel_size; ++j) {
          const Index r = row * g.stride - g.pad_low + i * g.dilation;
          const Index s = column * g.stride - g.pad_low + j * g.dilation;
          if (r < 0 || r >= in.shape.height || s < 0 || s >= in.shape.width) {
            continue;
          }
          const Index pixel = r * in.shape.width + s;
          for (Index c = 0; c < in.channels; ++c) {
            const Index tap = (c * g.kernel_size + i) * g.kernel_size + j;
            sum += weights[static_cast<std::size_t>(tap)] * in.channel(c)[pixel];
          }
        }
      }
      out[row * shape.width + column] = sum;
    }
  }
}

class FiniteNetwork {
 public:
  FiniteNetwork(const Program& program, Index width, Random& random)
      : program_(program), width_(width), random_(random) {}

  // The same weights for both images.
  void run(std::vector<Activations>& images) {
    for (const Op& op : program_.ops) {
      if (const auto* conv = std::get_if<Conv2dOp>(&op)) {
        apply(*conv, images);
      } else if (std::holds_alternative<ReluOp>(op)) {
        for (Activations& image : images) {
          for (double& value : image.values) {
            value = std::max(value, 0.0);
          }
        }
      } else {
        throw std::invalid_argument("finite networks of convolutions and relus only");
      }
    }
  }

 private:
  void apply(const Conv2dOp& op, std::vector<Activations>& images) {
    const MapShape shape = program_.values[static_cast<std::size_t>(op.output)].shape;
    const Index fan_in = op.geometry.kernel_size * op.geometry.kernel_size * images[0].channels;
    const double weight_scale = std::sqrt(op.weight.value / static_cast<double>(fan_in));
    const double bias_scale = std::sqrt(op.bias.value);
    std::vector<Activations> outputs;
    for (std::size_t n = 0; n < images.size(); ++n) {
      const std::size_t size = static_cast<std::size_t>(width_ * shape.num_pixels());
      outputs.push_back({width_, shape, std::vector<double>(size)});
    }
    std::vector<double> weights(static_cast<std::size_t>(fan_in));
    for (Index c = 0; c < width_; ++c) {
      for (double& weight : weights) {
        weight = weight_scale * random_.normal();
      }
      const double bias = bias_scale * random_.normal();
      for (std::size_t n = 0; n < images.size(); ++n) {
        convolve(op.geometry, images[n], weights, bias, shape, outputs[n].channel(c));
      }
    }
    images = std::move(outputs);
  }

  const Program& program_;
  Index width_;
  Random& random_;
};

double mean_product(const Activations& a, const Activations& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.values.size(); ++i) {
    sum += a.values[i] * b.values[i];
  }
  return sum / static_cast<double>(a.values.size());
}

}  // namespace

EmpiricalCovariance sample_covariance(const Program& program, Index width,
                                      std::span<const double> x, std::span<const double> y,
                                      Random& random) {
  const MapShape shape{.height = program.input.height, .width = program.input.width};
  std::vector<Activations> images;
  for (const std::span<const double> image : {x, y}) {
    images.push_back({program.input.channels, shape, {image.begin(), image.end()}});
  }
  FiniteNetwork(program, width, random).run(images);
  return {.xy = mean_product(images[0], images[1]),
          .xx = mean_product(images[0], images[0]),
          .yy = mean_product(images[1], images[1])};
}

}  // namespace gramtile::test
