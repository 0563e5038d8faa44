#include <algorithm>
#include <numeric>
#include <vector>

#include "engine/lanes/lane_ranges.hpp"
#include "engine/lanes/weight_sums.hpp"
#include "engine/schedule/image_chain.hpp"
#include "engine/schedule/tile_derivative.hpp"
#include "engine/simd/kernels.hpp"

namespace gramtile {
namespace {

std::size_t as_size(Index n) { return static_cast<std::size_t>(n); }

/// Columns whose pairs are differentiated by one task. A constant: groups are part of the order in
/// which sums are taken, so they must not depend on threads.
constexpr Index kGroupColumns = 64;

Index num_groups(Index num_columns) { return (num_columns + kGroupColumns - 1) / kGroupColumns; }

template <class T>
class TileGradient {
 public:
  TileGradient(const TileOperands<T>& tile, const ReverseProgram& program,
               const TileUpstream& upstream, Executor& executor,
               WorkspacePool<DerivativeWorkspace<T>>& workspaces, BendSums<T>& sums,
               std::span<T> kernel)
      : tile_(tile),
        program_(program),
        upstream_(upstream),
        executor_(executor),
        workspaces_(workspaces),
        sums_(sums),
        kernel_(kernel),
        maps_(tile.program.num_map_pixels),
        num_rows_(tile.rows.examples.size()),
        num_columns_(tile.columns.examples.size()) {
    const Index groups = num_groups(num_columns_);
    std::fill_n(sums_.rows.data(), groups * num_rows_ * maps_, T(0));
    std::fill_n(sums_.columns.data(), num_columns_ * maps_, 0.0);
    raw_.assign(as_size(groups * program.num_raw()), 0.0);
  }

  void add_to(std::span<double> gradient) {
    executor_.for_each(num_groups(num_columns_), [&](Index group) { run_group(group); });
    std::vector<double> raw(as_size(program_.num_raw()), 0.0);
    add_rows(raw, raw_, num_groups(num_columns_));
    complete_weight_sums<T>(program_, bends_of_steps(), raw);
    add_chains(raw, true);
    if (!tile_.triangle) add_chains(raw, false);
    for (const DerivativeTerm& term : program_.terms) {
      gradient[as_size(term.parameter)] +=
          term.coefficient * raw[as_size(term.step * kNumRaw + term.raw)];
    }
  }

 private:
  /// raw += each of `count` consecutive rows, in order.
  static void add_rows(std::vector<double>& raw, const std::vector<double>& rows, Index count) {
    for (Index i = 0; i < count; ++i) {
      for (std::size_t k = 0; k < raw.size(); ++k) raw[k] += rows[as_size(i) * raw.size() + k];
    }
  }

  void run_group(Index group) {
    auto workspace = workspaces_.borrow();
    const Index lanes = simd::kernels<T>().lanes;
    const Index stop = std::min((group + 1) * kGroupColumns, num_columns_);
    // A strip's rows stay in the outer caches while pack after pack is computed.
    for (Index start = 0; start < num_rows_; start += kStripRows) {
      for (Index first = group * kGroupColumns; first < stop; first += lanes) {
        run_strip(group, start, first, *workspace);
      }
    }
  }

  void run_strip(Index group, Index start, Index first, DerivativeWorkspace<T>& w) {
    const Index lanes = simd::kernels<T>().lanes;
    const Index count = std::min(lanes, num_columns_ - first);
    if (tile_.triangle && first + count <= start + 1) return;
    std::fill_n(w.bend.data(), maps_ * lanes, T(0));
    for (Index row = start; row < std::min(start + kStripRows, num_rows_); ++row) {
      if (tile_.triangle && first + count <= row + 1) break;
      run_pairs(group, row, first, count, w);
    }
    add_column_bend(first, count, w);
  }

  /// One row image against one pack: forwards, and backwards unless nothing depends on it.
  void run_pairs(Index group, Index row, Index first, Index count, DerivativeWorkspace<T>& w) {
    const simd::Kernels<T>& kernels = simd::kernels<T>();
    LaneSteps forward = tile_.program.view();
    forward.keeps_haversines = true;
    const PackOperands<T> pack{
        tile_.rows.view.rows + row * tile_.rows.view.row_stride,
        tile_.columns.view.packs + first / kernels.lanes * tile_.columns.view.pack_stride,
        w.pair.slots.data(), w.pair.scratch.data()};
    const bool needed = set_seeds(row, first, count, w);
    if (!needed && kernel_.empty()) return;
    kernels.forward(forward, pack);
    if (!kernel_.empty()) {
      const T* result =
          w.pair.slots.data() + forward.output_slot * forward.slot_stride * kernels.lanes;
      std::copy_n(result, count, kernel_.data() + row * num_columns_ + first);
    }
    if (!needed) return;
    T* row_bend = sums_.rows.data() + (group * num_rows_ + row) * maps_;
    kernels.gradient(program_.view(),
                     {pack, w.seeds.data(), w.adjoints.data(), w.group.data(),
                      raw_.data() + group * program_.num_raw(), w.bend.data(), row_bend});
  }

  /// ∂L/∂K of every lane; false when all are 0. The mirror image of a pair is the same pair.
  bool set_seeds(Index row, Index first, Index count, DerivativeWorkspace<T>& w) const {
    bool any = false;
    std::fill_n(w.seeds.data(), w.seeds.size(), T(0));
    for (Index lane = 0; lane < count; ++lane) {
      const Index column = first + lane;
      if (tile_.triangle && column <= row) continue;
      double seed = upstream_.direct[as_size(row * num_columns_ + column)];
      if (tile_.triangle) seed += upstream_.direct[as_size(column * num_columns_ + row)];
      if (!upstream_.mirrored.empty())
        seed += upstream_.mirrored[as_size(column * num_rows_ + row)];
      w.seeds[as_size(lane)] = static_cast<T>(seed);
      any = any || seed != 0;
    }
    return any;
  }

  void add_column_bend(Index first, Index count, const DerivativeWorkspace<T>& w) {
    const Index lanes = simd::kernels<T>().lanes;
    for_each_lane(maps_, count, [&](Range pixels, Index lane) {
      double* to = sums_.columns.data() + (first + lane) * maps_;
      const T* from = w.bend.data() + lane;
      for (Index p = pixels.start; p < pixels.stop; ++p) {
        to[p] += static_cast<double>(from[p * lanes]);
      }
    });
  }

  /// √xx of an image at every relu, [num_map_pixels].
  const T* roots(const PreparedBlock<T>& block, Index image) const {
    return block.view.rows + image * block.view.row_stride + tile_.program.input.num_values();
  }

  /// In eight chains of additions: one would be as long as their latency.
  static double dot(const double* a, const T* b, Index count) {
    constexpr Index kChains = 8;
    double sums[kChains] = {};
    Index p = 0;
    for (; p + kChains <= count; p += kChains) {
      for (Index k = 0; k < kChains; ++k) sums[k] += a[p + k] * static_cast<double>(b[p + k]);
    }
    for (; p < count; ++p) sums[0] += a[p] * static_cast<double>(b[p]);
    return std::accumulate(sums, sums + kChains, 0.0);
  }

  /// By step: Σ adjoint · r √(1−c²) over the tile's pairs, of steps that read a relu.
  std::vector<double> bends_of_steps() {
    const std::size_t num_steps = program_.steps.size();
    std::vector<double> per_column(as_size(num_columns_) * num_steps, 0.0);
    executor_.for_each(num_columns_, [&](Index column) {
      const double* bend = sums_.columns.data() + column * maps_;
      const T* root = roots(tile_.columns, column);
      for (std::size_t i = 0; i < num_steps; ++i) {
        const LaneStep& step = program_.steps[i].forward;
        if (!reads_relu(step)) continue;
        per_column[as_size(column) * num_steps + i] =
            dot(bend + step.map_offset, root + step.map_offset, step.input.num_pixels());
      }
    });
    std::vector<double> sums(num_steps, 0.0);
    add_rows(sums, per_column, num_columns_);
    return sums;
  }

  /// Adds the raw derivatives of the chains of all row images, or of all column images.
  void add_chains(std::vector<double>& raw, bool rows) {
    const PreparedBlock<T>& block = rows ? tile_.rows : tile_.columns;
    const Index n = block.examples.size(), lanes = chain_lanes(), packs = (n + lanes - 1) / lanes;
    std::vector<double> per_pack(as_size(packs * program_.num_raw()), 0.0);
    executor_.for_each(packs, [&](Index pack) {
      auto workspace = workspaces_.borrow();
      const Index first = pack * lanes, count = std::min(lanes, n - first);
      run_chain(block, rows, first, count, *workspace);
      for (Index k = 0; k < program_.num_raw(); ++k) {
        double& to = per_pack[as_size(pack * program_.num_raw() + k)];
        for (Index lane = 0; lane < count; ++lane)
          to += (*workspace).chain_raw[as_size(k * lanes + lane)];
      }
    });
    add_rows(raw, per_pack, packs);
  }

  void run_chain(const PreparedBlock<T>& block, bool rows, Index first, Index count,
                 DerivativeWorkspace<T>& w) {
    std::vector<double> seeds(as_size(count), 0.0);
    for (Index i = 0; i < count && tile_.triangle; ++i) {
      seeds[as_size(i)] = upstream_.direct[as_size((first + i) * num_columns_ + first + i)];
    }
    run_image_chain(
        block, program_, first, count, seeds,
        [&](Index i, Range pixels, double* to) { image_bend(rows, first + i, pixels, to); }, w);
  }

  /// Σ adjoint · r √(1−c²) of one image over all its pairs in the tile, at some pixels.
  void image_bend(bool rows, Index image, Range pixels, double* to) const {
    std::fill_n(to, pixels.size(), 0.0);
    const auto add = [&](const auto* from) {
      for (Index i = 0; i < pixels.size(); ++i)
        to[i] += static_cast<double>(from[pixels.start + i]);
    };
    if (rows) {
      for (Index g = 0; g < num_groups(num_columns_); ++g) {
        add(sums_.rows.data() + (g * num_rows_ + image) * maps_);
      }
    }
    if (!rows || tile_.triangle) add(sums_.columns.data() + image * maps_);
    const T* root = roots(rows ? tile_.rows : tile_.columns, image) + pixels.start;
    for (Index i = 0; i < pixels.size(); ++i) to[i] *= static_cast<double>(root[i]);
  }

  const TileOperands<T>& tile_;
  const ReverseProgram& program_;
  TileUpstream upstream_;
  Executor& executor_;
  WorkspacePool<DerivativeWorkspace<T>>& workspaces_;
  BendSums<T>& sums_;
  std::span<T> kernel_;
  Index maps_, num_rows_, num_columns_;
  std::vector<double> raw_;  ///< [group, step, kNumRaw]
};

}  // namespace

template <class T>
BendSums<T> allocate_bend_sums(const LaneProgram& program, Index tile_size) {
  const Index maps = program.num_map_pixels;
  return {.rows = AlignedBuffer<T>(as_size(num_groups(tile_size) * tile_size * maps)),
          .columns = AlignedBuffer<double>(as_size(tile_size * maps))};
}

std::size_t gradient_tile_bytes(const LaneProgram& program, Index tile_size, DataType type) {
  const Index maps = tile_size * program.num_map_pixels;
  return as_size(num_groups(tile_size) * maps) * size_in_bytes(type) +
         as_size(maps + 2 * tile_size * tile_size) * sizeof(double);
}

template BendSums<float> allocate_bend_sums(const LaneProgram&, Index);
template BendSums<double> allocate_bend_sums(const LaneProgram&, Index);

template <class T>
void compute_tile_gradient(const TileOperands<T>& tile, const ReverseProgram& program,
                           const TileUpstream& upstream, Executor& executor,
                           WorkspacePool<DerivativeWorkspace<T>>& workspaces,
                           WorkspacePool<BendSums<T>>& bend_sums, std::span<T> kernel,
                           std::span<double> gradient) {
  auto sums = bend_sums.borrow();
  TileGradient<T>(tile, program, upstream, executor, workspaces, *sums, kernel).add_to(gradient);
  if (tile.triangle && !kernel.empty()) mirror_triangle<T>(tile.rows.diagonal, kernel);
}

template void compute_tile_gradient(const TileOperands<float>&, const ReverseProgram&,
                                    const TileUpstream&, Executor&,
                                    WorkspacePool<DerivativeWorkspace<float>>&,
                                    WorkspacePool<BendSums<float>>&, std::span<float>,
                                    std::span<double>);
template void compute_tile_gradient(const TileOperands<double>&, const ReverseProgram&,
                                    const TileUpstream&, Executor&,
                                    WorkspacePool<DerivativeWorkspace<double>>&,
                                    WorkspacePool<BendSums<double>>&, std::span<double>,
                                    std::span<double>);

}  // namespace gramtile
