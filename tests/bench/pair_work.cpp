#include "tests/bench/pair_work.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "engine/backend/lanes/tile_derivative.hpp"
#include "engine/backend/lanes/tile_kernel.hpp"
#include "engine/core/aligned_buffer.hpp"
#include "engine/core/array_source.hpp"
#include "engine/reference/reference.hpp"
#include "engine/schedule/compute.hpp"
#include "engine/simd/kernels.hpp"
#include "tests/bench/check.hpp"

namespace gramtile::bench {
namespace {

struct Pair {
  Index row, column;
};

/// A few entries from the corners and the middle of a tile: among them the last lane of a pack.
std::array<Pair, 3> sampled_pairs(Index rows, Index columns) {
  return {{{0, columns - 1}, {rows / 2, columns / 3}, {rows - 1, 0}}};
}

template <class T>
PreparedBlock<T> prepare_block(const LaneProgram& lanes, std::span<const double> pixels,
                               Range examples) {
  LaneWorkspace<double> workspace(lanes, simd::variance_kernels().lanes);
  PreparedBlock<T> block = allocate_block<T>(lanes, examples);
  const Index values = lanes.input.num_values();
  const auto own =
      pixels.subspan(as_size(examples.start * values), as_size(examples.size() * values));
  for (Index pack = 0; pack < num_packs<T>(examples.size()); ++pack) {
    prepare_pack<T>(lanes, own, pack, workspace, block);
  }
  return block;
}

/// A pack, or a tile off the diagonal: rows are the first images, columns those behind them.
template <class T>
class TileWork : public Workload {
 public:
  TileWork(const Program& program, const WorkSpec& spec, Executor& executor)
      : program_(program),
        spec_(spec),
        executor_(executor),
        images_(load_images(program.input, num_images(spec))),
        num_rows_(spec.work == Work::kPack ? kStripRows : spec.edge),
        num_columns_(num_images(spec) - num_rows_),
        lanes_(compile_lanes(program, derivative())),
        rows_(prepare_block<T>(lanes_, images_.pixels, {0, num_rows_})),
        columns_(prepare_block<T>(lanes_, images_.pixels, {num_rows_, num_rows_ + num_columns_})),
        workspaces_([this] { return LaneWorkspace<T>(lanes_, simd::kernels<T>().lanes); }),
        derivative_workspaces_(
            [this] { return DerivativeWorkspace<T>(reverse_, spec_.work == Work::kJacobian); }),
        bend_sums_(
            [this] { return allocate_bend_sums<T>(lanes_, std::max(num_rows_, num_columns_)); }) {
    kernel_ = AlignedBuffer<T>(as_size(num_rows_ * num_columns_));
    if (derivative()) reverse_ = reverse_lanes(lanes_, program);
    if (spec.work == Work::kJacobian) {
      jacobian_ = AlignedBuffer<T>(kernel_.size() * program.parameters.size());
    }
    if (spec.work == Work::kGradient) check_gradient();
    if (spec.work != Work::kGradient) check_entries();
  }

  double amount() const override { return static_cast<double>(num_rows_ * num_columns_); }

  void run() override {
    const TileOperands<T> tile{lanes_, rows_, columns_, false};
    const std::span<T> kernel(kernel_.data(), kernel_.size());
    if (spec_.work == Work::kGradient) {
      gradient_.assign(program_.parameters.size(), 0.0);
      compute_tile_gradient<T>(tile, reverse_, {upstream_, mirrored_}, executor_,
                               derivative_workspaces_, bend_sums_, {}, gradient_);
    } else if (spec_.work == Work::kJacobian) {
      compute_tile_jacobian<T>(tile, reverse_, executor_, derivative_workspaces_, kernel,
                               {jacobian_.data(), jacobian_.size()});
    } else {
      compute_tile_kernel<T>(tile, executor_, workspaces_, kernel);
    }
  }

 private:
  bool derivative() const { return spec_.work == Work::kGradient || spec_.work == Work::kJacobian; }

  std::span<const double> row_image(Index i) const { return image(program_, images_.pixels, i); }
  std::span<const double> column_image(Index j) const { return row_image(num_rows_ + j); }

  void check_entries() {
    run();
    for (const auto [i, j] : sampled_pairs(num_rows_, num_columns_)) {
      const auto at = as_size(i * num_columns_ + j);
      const double expected = reference::kernel(program_, row_image(i), column_image(j));
      check_close(fmt::format("K[{}, {}]", i, j), static_cast<double>(kernel_[at]), expected,
                  expected, kernel_bound(spec_.data_type));
      if (spec_.work != Work::kJacobian) continue;
      const auto entry = reference::kernel_gradient(program_, row_image(i), column_image(j));
      for (std::size_t p = 0; p < entry.gradient.size(); ++p) {
        check_close(fmt::format("dK/d{} [{}, {}]", program_.parameters[p].name, i, j),
                    static_cast<double>(jacobian_[p * kernel_.size() + at]), entry.gradient[p],
                    entry.gradient[p], derivative_bound(spec_.data_type));
      }
    }
  }

  /// The gradient is linear in the upstream, so a few entries of it check what all of them time.
  void check_gradient() {
    upstream_.assign(kernel_.size(), 0.0);
    mirrored_.assign(kernel_.size(), 0.0);
    std::vector<double> expected(program_.parameters.size(), 0.0), scale(expected);
    double weight = 1;
    for (const auto [i, j] : sampled_pairs(num_rows_, num_columns_)) {
      upstream_[as_size(i * num_columns_ + j)] = weight;
      mirrored_[as_size(j * num_rows_ + i)] = 0.25 * weight;
      const auto entry = reference::kernel_gradient(program_, row_image(i), column_image(j));
      for (std::size_t p = 0; p < expected.size(); ++p) {
        expected[p] += 1.25 * weight * entry.gradient[p];
        scale[p] += 1.25 * std::abs(weight * entry.gradient[p]);
      }
      weight *= -0.5;
    }
    run();
    for (std::size_t p = 0; p < expected.size(); ++p) {
      check_close("gradient by " + program_.parameters[p].name, gradient_[p], expected[p], scale[p],
                  derivative_bound(spec_.data_type));
    }
    for (std::size_t i = 0; i < upstream_.size(); ++i) {
      upstream_[i] = mirrored_[i] = 1e-3 * static_cast<double>(i % 17 + 1);
    }
  }

  const Program program_;
  const WorkSpec spec_;
  Executor& executor_;
  Images images_;
  Index num_rows_, num_columns_;
  LaneProgram lanes_;
  ReverseProgram reverse_;
  PreparedBlock<T> rows_, columns_;
  WorkspacePool<LaneWorkspace<T>> workspaces_;
  WorkspacePool<DerivativeWorkspace<T>> derivative_workspaces_;
  WorkspacePool<PairBends<T>> bend_sums_;
  AlignedBuffer<T> kernel_, jacobian_;
  std::vector<double> upstream_, mirrored_, gradient_;
};

/// Keeps the last entry of the first row of a few tiles and forgets the rest.
class DiscardingSink : public TileSink {
 public:
  struct Kept {
    Index row, column;
    double value;
  };

  void write(const TileResult& result) override {
    if (kept_.size() == 3) return;
    const Index row = result.tile.rows.start, column = result.tile.columns.stop - 1;
    const std::byte* entry =
        result.plane(kKernelPlane).data() +
        as_size(result.tile.columns.size() - 1) * size_in_bytes(result.data_type);
    const double value = result.data_type == DataType::kFloat32
                             ? static_cast<double>(*reinterpret_cast<const float*>(entry))
                             : *reinterpret_cast<const double*>(entry);
    kept_.push_back({row, column, value});
  }
  const std::vector<Kept>& kept() const { return kept_; }

 private:
  std::vector<Kept> kept_;
};

/// A symmetric matrix, in the tiles that kernel-build would choose.
class RunWork : public Workload {
 public:
  RunWork(const Program& program, const WorkSpec& spec)
      : program_(program),
        images_(load_images(program.input, spec.edge)),
        source_(ArraySource::view(images_.shape, images_.pixels)),
        options_{.data_type = spec.data_type, .num_threads = spec.num_threads} {
    const std::vector<MatrixSpec> matrices{{"K", MatrixKind::kSymmetric, spec.edge, spec.edge}};
    plan_ = plan_tiles(matrices, default_tile_size(program_, matrices, options_,
                                                   content_of(true, Derivative::kNone)));
    request_.program = &program_;
    request_.plan = &plan_;
    request_.sources = {{&source_, nullptr}};
    for (Index i = 0; i < static_cast<Index>(plan_.tiles.size()); ++i) request_.tiles.push_back(i);
    run();
    for (const auto& [row, column, value] : sink_.kept()) {
      const double expected = reference::kernel(program_, image(program_, images_.pixels, row),
                                                image(program_, images_.pixels, column));
      check_close(fmt::format("K[{}, {}]", row, column), value, expected, expected,
                  kernel_bound(spec.data_type));
    }
  }

  double amount() const override { return static_cast<double>(plan_.num_pairs()); }
  void run() override { compute_tiles(request_, options_, sink_); }

 private:
  const Program program_;
  Images images_;
  ArraySource source_;
  ComputeOptions options_;
  TilePlan plan_;
  ComputeRequest request_;
  DiscardingSink sink_;
};

/// Variance stacks of one block: what a run does once per block that it loads.
template <class T>
class VarianceWork : public Workload {
 public:
  VarianceWork(const Program& program, const WorkSpec& spec)
      : num_images_(spec.edge),
        images_(load_images(program.input, spec.edge)),
        lanes_(compile_lanes(program, false)),
        workspace_(lanes_, simd::variance_kernels().lanes),
        block_(allocate_block<T>(lanes_, {0, spec.edge})) {
    run();
    for (Index i : {Index{0}, num_images_ - 1}) {
      const double expected =
          reference::kernel_diagonal(program, image(program, images_.pixels, i));
      // Variances are computed in double whatever T is.
      check_close(fmt::format("K[{}, {}]", i, i), block_.diagonal[as_size(i)], expected, expected,
                  kernel_bound(DataType::kFloat64));
    }
  }

  double amount() const override { return static_cast<double>(num_images_); }
  void run() override {
    for (Index pack = 0; pack < num_packs<T>(num_images_); ++pack) {
      prepare_pack<T>(lanes_, images_.pixels, pack, workspace_, block_);
    }
  }

 private:
  Index num_images_;
  Images images_;
  LaneProgram lanes_;
  LaneWorkspace<double> workspace_;
  PreparedBlock<T> block_;
};

Index lanes_of(DataType type) {
  return type == DataType::kFloat32 ? simd::kernels<float>().lanes : simd::kernels<double>().lanes;
}

template <class T>
std::unique_ptr<Workload> make_work_of(const Program& program, const WorkSpec& spec,
                                       Executor& executor) {
  if (spec.work == Work::kRun) return std::make_unique<RunWork>(program, spec);
  if (spec.work == Work::kVariances) return std::make_unique<VarianceWork<T>>(program, spec);
  return std::make_unique<TileWork<T>>(program, spec, executor);
}

}  // namespace

Index num_images(const WorkSpec& spec) {
  switch (spec.work) {
    case Work::kPack:
      return kStripRows + lanes_of(spec.data_type);
    case Work::kRun:
    case Work::kVariances:
      return spec.edge;
    default:
      return 2 * spec.edge;
  }
}

std::unique_ptr<Workload> make_work(const Program& program, const WorkSpec& spec,
                                    Executor& executor) {
  return spec.data_type == DataType::kFloat32 ? make_work_of<float>(program, spec, executor)
                                              : make_work_of<double>(program, spec, executor);
}

}  // namespace gramtile::bench
