// The ports: images that are made as they are needed, ∂L/∂K that never exists as a whole, and tiles
// that are kept and read again.
#include <engine/core/tile_store.hpp>
#include <engine/gramtile.hpp>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

/// BlockSource: every image is the one before, brighter.
class Ramp : public gramtile::BlockSource {
 public:
  Ramp(gramtile::ImageShape shape, gramtile::Index num_images)
      : shape_(shape), num_images_(num_images) {}
  gramtile::ImageShape shape() const override { return shape_; }
  gramtile::Index num_examples() const override { return num_images_; }
  void read(gramtile::Range examples, std::span<double> pixels) override {
    const auto size = static_cast<std::size_t>(shape_.num_values());
    for (std::size_t i = 0; i < pixels.size(); ++i) {
      const auto image = static_cast<std::size_t>(examples.start) + i / size;
      pixels[i] = static_cast<double>(image + 1) + 0.01 * static_cast<double>(i % size % 7);
    }
  }

 private:
  gramtile::ImageShape shape_;
  gramtile::Index num_images_;
};

/// MatrixSource: ∂L/∂K = u·uᵀ of L = uᵀ·K·u, N numbers in place of N².
class OuterProduct : public gramtile::MatrixSource {
 public:
  explicit OuterProduct(std::vector<double> u) : u_(std::move(u)) {}
  gramtile::Index num_rows() const override { return static_cast<gramtile::Index>(u_.size()); }
  gramtile::Index num_columns() const override { return num_rows(); }
  void read(gramtile::Range rows, gramtile::Range columns,
            std::span<double> values) const override {
    std::size_t at = 0;
    for (gramtile::Index i = rows.start; i < rows.stop; ++i) {
      for (gramtile::Index j = columns.start; j < columns.stop; ++j)
        values[at++] = u_[static_cast<std::size_t>(i)] * u_[static_cast<std::size_t>(j)];
    }
  }

 private:
  std::vector<double> u_;
};

/// TileStore: L = ½ Σ K². Its ∂L/∂K is K itself, computed once, kept tile by tile and read back.
std::vector<double> gradient_of_squares(const gramtile::Program& program,
                                        gramtile::BlockSource& images,
                                        const gramtile::ComputeOptions& options) {
  const gramtile::Index n = images.num_examples();
  const gramtile::TilePlan plan =
      gramtile::plan_tiles({{"K", gramtile::MatrixKind::kSymmetric, n, n}}, 16);
  gramtile::ComputeRequest request{.program = &program,
                                   .plan = &plan,
                                   .sources = {{&images, nullptr}},
                                   .tiles = std::vector<gramtile::Index>(plan.tiles.size())};
  std::iota(request.tiles.begin(), request.tiles.end(), 0);
  gramtile::MemoryTileStore store(plan, request.content);
  gramtile::compute_tiles(request, options, store);
  gramtile::StoredMatrix k(store, 0, "kernel");
  return gramtile::kernel_gradient(program, images, nullptr, k, options).gradient;
}
