#include "tests/support/finite_network.hpp"

#include <cmath>
#include <stdexcept>

#include "tests/support/operation_table.hpp"

namespace gramtile::test {
namespace {

/// [H·W, channels]
struct Activations {
  Index channels;
  MapShape shape;
  std::vector<double> values;

  double* pixel(Index p) { return values.data() + p * channels; }
  const double* pixel(Index p) const { return values.data() + p * channels; }
};

// [C, H, W] → [H·W, C]
Activations from_image(ImageShape shape, std::span<const double> image) {
  Activations result{shape.channels, {shape.height, shape.width}, {}};
  for (Index p = 0; p < shape.num_pixels(); ++p) {
    for (Index c = 0; c < shape.channels; ++c) {
      result.values.push_back(image[static_cast<std::size_t>(c * shape.num_pixels() + p)]);
    }
  }
  return result;
}

// out += Σ over channels in of weight · in; `weights`: [channels in, channels out]
void add_tap(std::span<const double> in, const double* weights, std::span<double> out) {
  for (const double value : in) {
    for (double& sum : out) {
      sum += value * *weights++;
    }
  }
}

/// Where output `position` of an axis of `size` sees tap `tap`; −1 where it sees a zero.
Index input_of(const WindowAxis& axis, bool circular, Index position, Index tap, Index size) {
  Index at = position * axis.stride - axis.pad_low + tap * axis.dilation;
  if (circular) {
    while (at < 0) at += size;
    while (at >= size) at -= size;
  }
  return at >= 0 && at < size ? at : -1;
}

// bias + Σ over taps and input channels. `weights`: [taps, channels in, channels out]
Activations convolve(const WindowGeometry& g, const Activations& in,
                     const std::vector<double>& weights, const std::vector<double>& biases,
                     MapShape shape) {
  const Index width = static_cast<Index>(biases.size());
  Activations out{width, shape, {}};
  for (Index p = 0; p < shape.num_pixels(); ++p) {
    out.values.insert(out.values.end(), biases.begin(), biases.end());
    for (Index tap = 0; tap < g.num_taps(); ++tap) {
      const Index row =
          input_of(g.y, g.circular, p / shape.width, tap / g.x.kernel_size, in.shape.height);
      const Index column =
          input_of(g.x, g.circular, p % shape.width, tap % g.x.kernel_size, in.shape.width);
      if (row >= 0 && column >= 0) {
        const double* pixel = in.pixel(row * in.shape.width + column);
        add_tap({pixel, static_cast<std::size_t>(in.channels)},
                weights.data() + tap * in.channels * width,
                {out.pixel(p), static_cast<std::size_t>(width)});
      }
    }
  }
  return out;
}

class FiniteNetwork {
 public:
  FiniteNetwork(const Program& program, Index width, Random& random)
      : program_(program), width_(width), random_(random) {}

  // The same weights for both images.
  void run(std::vector<Activations>& images) {
    for (const Op& op : program_.ops) {
      std::visit([&](const auto& any) { apply(any, images); }, op);
    }
  }

 private:
  static void apply(const ActivationOp& op, std::vector<Activations>& images) {
    ask(op.activation, [&](const auto& function) {
      for (Activations& image : images) {
        for (double& value : image.values) value = activated(function, value);
      }
    });
  }
  static void apply(const SumOp&, std::vector<Activations>&) {
    throw std::invalid_argument("finite networks of convolutions and activations only");
  }
  void apply(const Conv2dOp& op, std::vector<Activations>& images) {
    const MapShape shape = program_.values[static_cast<std::size_t>(op.output)].shape;
    const Index fan_in = op.geometry.num_taps() * images[0].channels;
    const double weight_scale = std::sqrt(op.weight.value / static_cast<double>(fan_in));
    const double bias_scale = std::sqrt(op.bias.value);
    std::vector<double> weights(static_cast<std::size_t>(fan_in * width_));
    for (double& weight : weights) {
      weight = weight_scale * random_.normal();
    }
    std::vector<double> biases(static_cast<std::size_t>(width_));
    for (double& bias : biases) {
      bias = bias_scale * random_.normal();
    }
    for (Activations& image : images) {
      image = convolve(op.geometry, image, weights, biases, shape);
    }
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
  std::vector<Activations> images{from_image(program.input, x), from_image(program.input, y)};
  FiniteNetwork(program, width, random).run(images);
  return {.xy = mean_product(images[0], images[1]),
          .xx = mean_product(images[0], images[0]),
          .yy = mean_product(images[1], images[1])};
}

}  // namespace gramtile::test
