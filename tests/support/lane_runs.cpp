#include "tests/support/lane_runs.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include "engine/core/array_source.hpp"
#include "engine/reference/reference.hpp"
#include "io/network/network_json.hpp"

namespace gramtile::test {

Index Images::size() const { return static_cast<Index>(pixels.size()) / shape.num_values(); }

std::span<const double> Images::operator[](Index i) const {
  const auto n = static_cast<std::size_t>(shape.num_values());
  return std::span(pixels).subspan(static_cast<std::size_t>(i) * n, n);
}

void Images::append(std::span<const double> image) {
  pixels.insert(pixels.end(), image.begin(), image.end());
}

Images Images::reordered(std::span<const Index> order) const {
  Images result{shape, {}};
  for (const Index i : order) result.append((*this)[i]);
  return result;
}

Images representable(const Program& program, const Images& images, DataType type) {
  const bool single = type == DataType::kFloat32;
  const double smallest = single ? std::numeric_limits<float>::min() : 0x1p-1022;
  const double largest = single ? std::numeric_limits<float>::max() : 0x1.fffffffffffffp+1023;
  Images kept{images.shape, {}};
  for (Index i = 0; i < images.size(); ++i) {
    const double variance = reference::kernel_diagonal(program, images[i]);
    const bool held = variance >= smallest && variance <= largest / 16;
    const bool black =
        std::all_of(images[i].begin(), images[i].end(), [](double pixel) { return pixel == 0; });
    if (held || (black && variance == 0)) kept.append(images[i]);
  }
  return kept;
}

Images random_images(std::uint64_t seed, ImageShape shape, Index count) {
  Random random(seed);
  Images images{shape, {}};
  for (Index i = 0; i < count; ++i) images.append(random_image(random, shape));
  return images;
}

std::vector<double> lane_kernel(const Program& program, const Images& images, const LaneRun& run) {
  ArraySource source = ArraySource::view(images.shape, images.pixels);
  return compute_arrays(program, source, nullptr,
                        {.data_type = run.type, .num_threads = run.num_threads}, Derivative::kNone,
                        nullptr, run.tile_size)
      .kernel;
}

std::vector<double> lane_kernel(const Program& program, const Images& rows, const Images& columns,
                                const LaneRun& run) {
  ArraySource row_source = ArraySource::view(rows.shape, rows.pixels);
  ArraySource column_source = ArraySource::view(columns.shape, columns.pixels);
  return compute_arrays(program, row_source, &column_source,
                        {.data_type = run.type, .num_threads = run.num_threads}, Derivative::kNone,
                        nullptr, run.tile_size)
      .kernel;
}

std::vector<Index> shuffled(std::uint64_t seed, Index n) {
  std::vector<Index> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), Index{0});
  Random random(seed);
  for (Index i = n - 1; i > 0; --i) {
    std::swap(order[static_cast<std::size_t>(i)],
              order[static_cast<std::size_t>(random.integer(0, i))]);
  }
  return order;
}

std::vector<double> reordered(const std::vector<double>& kernel, Index width,
                              std::span<const Index> rows, std::span<const Index> columns) {
  std::vector<double> result;
  for (const Index i : rows) {
    for (const Index j : columns) result.push_back(kernel[static_cast<std::size_t>(i * width + j)]);
  }
  return result;
}

Program program_of(const std::string& json, ImageShape shape) {
  return lower(read_network(json, ""), shape);
}

}  // namespace gramtile::test
