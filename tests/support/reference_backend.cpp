#include "tests/support/reference_backend.hpp"

#include <cstring>
#include <vector>

#include "engine/reference/reference.hpp"

namespace gramtile::test {
namespace {

/// Images as they are.
struct ReferenceBlock : BackendBlock {
  std::vector<double> pixels;  ///< [examples, C, H, W]

  std::span<const double> image(Index i) const {
    const std::size_t size = pixels.size() / as_size(examples.size());
    return std::span(pixels).subspan(as_size(i) * size, size);
  }
};

class ReferenceBackend final : public Backend {
 public:
  ReferenceBackend(const BackendRequest& request, Executor& executor)
      : program_(*request.program), data_type_(request.data_type), executor_(executor) {}

  void prepare(Range examples, std::span<const double> pixels,
               std::unique_ptr<BackendBlock>& block) override {
    if (block == nullptr) block = std::make_unique<ReferenceBlock>();
    auto& reference = static_cast<ReferenceBlock&>(*block);
    reference.examples = examples;
    reference.pixels.assign(pixels.begin(), pixels.end());
  }

  void compute(const TileJob& job) override {
    const Index num_rows = job.rows->examples.size();
    const Index num_columns = job.columns == nullptr ? 1 : job.columns->examples.size();
    std::vector<reference::PairGradient> entries(as_size(num_rows * num_columns));
    executor_.for_each(num_rows, [&](Index row) {
      for (Index column = 0; column < num_columns; ++column)
        entries[as_size(row * num_columns + column)] = entry(job, row, column);
    });
    for (std::size_t i = 0; i < entries.size(); ++i) {
      store(job.plane(kKernelPlane), i, entries[i].kernel);
      for (std::size_t p = 0; p < entries[i].gradient.size(); ++p)
        store(job.plane(kJacobianPlane), p * entries.size() + i, entries[i].gradient[p]);
    }
    for (Index row = 0; row < num_rows && !job.vector.empty(); ++row) {
      for (Index column = 0; column < num_columns; ++column)
        add(job, upstream(job, row, column, num_rows, num_columns),
            entries[as_size(row * num_columns + column)]);
    }
  }

 private:
  /// A pair of one image with itself is the variance where the matrix is symmetric, or a diagonal.
  reference::PairGradient entry(const TileJob& job, Index row, Index column) const {
    const auto& rows = static_cast<const ReferenceBlock&>(*job.rows);
    if (job.columns == nullptr || (job.triangle && row == column))
      return reference::kernel_diagonal_gradient(program_, rows.image(row));
    const auto& columns = static_cast<const ReferenceBlock&>(*job.columns);
    // Of a triangle both halves are the upper one's pairs, so that they have the same bits.
    const bool swapped = job.triangle && column < row;
    return swapped ? reference::kernel_gradient(program_, rows.image(column), columns.image(row))
                   : reference::kernel_gradient(program_, rows.image(row), columns.image(column));
  }

  void store(std::span<std::byte> entries, std::size_t i, double value) const {
    if (entries.empty()) return;
    if (data_type_ == DataType::kFloat64) {
      std::memcpy(&entries[i * sizeof value], &value, sizeof value);
    } else {
      const auto single = static_cast<float>(value);
      std::memcpy(&entries[i * sizeof single], &single, sizeof single);
    }
  }

  static double upstream(const TileJob& job, Index row, Index column, Index num_rows,
                         Index num_columns) {
    double value = job.upstream[as_size(row * num_columns + column)];
    if (!job.mirrored_upstream.empty())
      value += job.mirrored_upstream[as_size(column * num_rows + row)];
    return value;
  }

  static void add(const TileJob& job, double factor, const reference::PairGradient& entry) {
    for (std::size_t p = 0; p < job.vector.size(); ++p) job.vector[p] += factor * entry.gradient[p];
  }

  const Program& program_;
  DataType data_type_;
  Executor& executor_;
};

class ReferenceKind final : public BackendKind {
 public:
  std::string_view name() const override { return "reference"; }

  Footprint footprint(const BackendRequest& request) const override {
    const auto values = as_size(request.tile_size * request.program->input.num_values());
    const auto pairs = as_size(request.tile_size * request.tile_size);
    const std::size_t entry =
        sizeof(reference::PairGradient) + request.program->parameters.size() * sizeof(double);
    return {.block_bytes = values * sizeof(double), .tile_bytes = pairs * entry, .thread_bytes = 0};
  }

  std::unique_ptr<Backend> make(const BackendRequest& request, Executor& executor) const override {
    return std::make_unique<ReferenceBackend>(request, executor);
  }
};

}  // namespace

const BackendKind& reference_backend() {
  static const ReferenceKind kind;
  return kind;
}

}  // namespace gramtile::test
