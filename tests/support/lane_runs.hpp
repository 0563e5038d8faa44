// Kernels of small sets of images through the whole engine, for tests.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "engine/network/program.hpp"
#include "engine/schedule/compute_arrays.hpp"
#include "tests/support/random_network.hpp"

namespace gramtile::test {

/// Images of one shape, [N, C, H, W].
struct Images {
  ImageShape shape;
  std::vector<double> pixels;

  Index size() const;
  std::span<const double> operator[](Index i) const;
  void append(std::span<const double> image);
  /// Image order[0], order[1], …
  Images reordered(std::span<const Index> order) const;
};

/// The images whose K(x, x) is 0 or inside the range of `type`: the engine refuses others.
Images representable(const Program& program, const Images& images, DataType type);

/// `count` images of random_image().
Images random_images(std::uint64_t seed, ImageShape shape, Index count);

struct LaneRun {
  DataType type = DataType::kFloat64;
  int num_threads = 1;
  Index tile_size = 0;  ///< 0: chosen
};

/// K(images, images) [N, N].
std::vector<double> lane_kernel(const Program& program, const Images& images, const LaneRun& run);
/// K(rows, columns) [N, M] of two data sets.
std::vector<double> lane_kernel(const Program& program, const Images& rows, const Images& columns,
                                const LaneRun& run);

/// 0 … n − 1 in an order drawn by `seed`.
std::vector<Index> shuffled(std::uint64_t seed, Index n);
/// [i, j] of the result: [rows[i], columns[j]] of `kernel` [·, width].
std::vector<double> reordered(const std::vector<double>& kernel, Index width,
                              std::span<const Index> rows, std::span<const Index> columns);

/// Network from JSON, for images of `shape`.
Program program_of(const std::string& json, ImageShape shape);

inline constexpr DataType kDataTypes[] = {DataType::kFloat32, DataType::kFloat64};

}  // namespace gramtile::test
