#include "tests/bench/images.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "io/data/dataset.hpp"

namespace gramtile::bench {
namespace {

/// A point on a walk through the image that bends at random: splitmix64 without std::
/// distributions.
class Pen {
 public:
  explicit Pen(std::uint64_t seed) : state_(seed) {}

  double uniform() {
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1p-53;
  }

 private:
  std::uint64_t state_;
};

/// Brightens the pixels around (x, y), in units of the image's edge.
void dot(ImageShape shape, double x, double y, double* plane) {
  const double radius = 0.06 * static_cast<double>(shape.width);
  const double cx = x * static_cast<double>(shape.width),
               cy = y * static_cast<double>(shape.height);
  for (Index py = 0; py < shape.height; ++py) {
    for (Index px = 0; px < shape.width; ++px) {
      const double distance =
          std::hypot(static_cast<double>(px) + 0.5 - cx, static_cast<double>(py) + 0.5 - cy);
      double& value = plane[py * shape.width + px];
      value = std::max(value, std::clamp(radius + 0.5 - distance, 0.0, 1.0));
    }
  }
}

void draw(ImageShape shape, std::uint64_t seed, double* plane) {
  constexpr int kSteps = 24;
  Pen pen(seed);
  double x = 0.3 + 0.4 * pen.uniform(), y = 0.2 + 0.2 * pen.uniform();
  double angle = 6.28 * pen.uniform();
  for (int step = 0; step < kSteps; ++step) {
    dot(shape, x, y, plane);
    angle += 1.2 * (pen.uniform() - 0.5);
    if (x < 0.2 || x > 0.8 || y < 0.2 || y > 0.8) angle = std::atan2(0.5 - y, 0.5 - x);
    x += 0.04 * std::cos(angle);
    y += 0.04 * std::sin(angle);
  }
}

std::string mnist_folder() {
  const char* named = std::getenv("GRAMTILE_MNIST");
  return named != nullptr ? named : GRAMTILE_MNIST_DIR;
}

}  // namespace

Images draw_strokes(ImageShape shape, Index num_examples) {
  Images images{shape, std::vector<double>(as_size(num_examples * shape.num_values())), "strokes"};
  for (Index plane = 0; plane < num_examples * shape.channels; ++plane) {
    draw(shape, static_cast<std::uint64_t>(plane) + 1,
         images.pixels.data() + plane * shape.num_pixels());
  }
  return images;
}

Images load_images(ImageShape shape, Index num_examples) {
  const std::string folder = mnist_folder();
  if (shape != ImageShape{1, 28, 28} || !std::filesystem::is_directory(folder)) {
    return draw_strokes(shape, num_examples);
  }
  const auto dataset = open_dataset(
      parse_source_spec(folder + "#0:" + std::to_string(num_examples)), DatasetRole::kTest);
  Images images{shape, std::vector<double>(as_size(num_examples * shape.num_values())), "MNIST"};
  dataset->read({0, num_examples}, images.pixels);
  return images;
}

}  // namespace gramtile::bench
