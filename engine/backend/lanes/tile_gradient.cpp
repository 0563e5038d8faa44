#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "engine/backend/lanes/tile_derivative.hpp"
#include "engine/lanes/complete_weights.hpp"
#include "engine/lanes/derivatives.hpp"
#include "engine/lanes/lane_ranges.hpp"
#include "engine/simd/kernels.hpp"

namespace gramtile {
namespace {

/// Columns whose pairs are differentiated by one task. A constant: groups are part of the order in
/// which sums are taken, so they must not depend on threads.
constexpr Index kGroupColumns = 64;

Index num_groups(Index num_columns) { return (num_columns + kGroupColumns - 1) / kGroupColumns; }

template <class T>
class TileGradient {
 public:
  TileGradient(const TileOperands<T>& tile, const ReverseProgram& program,
               const TileUpstream& upstream, Executor& executor,
               WorkspacePool<DerivativeWorkspace<T>>& workspaces, PairBends<T>& sums,
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
    row_has_sums_.assign(as_size(groups * num_rows_), 0);
    bends_.assign(as_size(groups * num_steps()), 0.0);
    raw_.assign(as_size(groups * program.num_raw()), 0.0);
    seed_exponent_ = choose_seed_exponent();
  }

  void add_to(std::span<double> gradient) {
    executor_.for_each(num_groups(num_columns_), [&](Index group) { run_group(group); });
    std::vector<double> raw(as_size(program_.num_raw()), 0.0), bends(as_size(num_steps()), 0.0);
    add_rows(raw, raw_, num_groups(num_columns_));
    add_rows(bends, bends_, num_groups(num_columns_));
    complete_weights<T>(program_, bends, raw);
    add_chains(raw, true);
    if (!tile_.triangle) add_chains(raw, false);
    std::vector<double> derivatives(gradient.size(), 0.0);
    add_derivatives(program_, raw.data(), 1, derivatives);
    for (std::size_t p = 0; p < gradient.size(); ++p) {
      gradient[p] += std::ldexp(derivatives[p], seed_exponent_);
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
    const Index stop = std::min((group + 1) * kGroupColumns, num_columns_);
    for (Index first = group * kGroupColumns; first < stop; first += lanes_) {
      run_pack(group, first, *workspace);
    }
  }

  void run_pack(Index group, Index first, DerivativeWorkspace<T>& w) {
    const Index count = std::min(lanes_, num_columns_ - first);
    std::fill_n(pack_sums(first), maps_ * lanes_, T(0));
    for (Index row = 0; row < num_rows_; ++row) {
      if (tile_.triangle && first + count <= row + 1) break;
      executor_.leave_if_abandoned();
      run_pairs(group, row, first, count, w);
    }
    add_bends(group, first);
  }

  /// One row image against one pack: forwards, and backwards unless nothing depends on it.
  void run_pairs(Index group, Index row, Index first, Index count, DerivativeWorkspace<T>& w) {
    const simd::Kernels<T>& kernels = simd::kernels<T>();
    const ForwardMode mode = program_.gradient_mode(!kernel_.empty());
    const LaneSteps forward = tile_.program.view(mode);
    const PackOperands<T> pack{tile_.rows.view.rows + row * tile_.rows.view.row_stride,
                               pack_values(first), w.pair.slots.data(), w.pair.scratch.data()};
    const bool needed = set_seeds(row, first, count, w);
    if (!needed && kernel_.empty()) return;
    kernels.forward(forward, pack);
    if (!kernel_.empty()) {
      const T* result = w.pair.slots.data() + forward.output_slot * forward.slot_stride * lanes_;
      store_entries(tile_, result, row, first, count, kernel_);
    }
    if (!needed) return;
    char& has_sums = row_has_sums_[as_size(group * num_rows_ + row)];
    kernels.gradient(program_.view(mode), {.pack = pack,
                                           .seeds = w.seeds.data(),
                                           .adjoints = w.adjoints.data(),
                                           .group = w.group.data(),
                                           .raw = raw_.data() + group * program_.num_raw(),
                                           .column_bend = pack_sums(first),
                                           .row_bend = row_sums(group, row),
                                           .row_bend_first = has_sums == 0});
    has_sums = 1;
  }

  /// A power of two that brings the largest of the tile's seeds to about 1, if they are far from
  /// it: what is made of them in T then neither overflows nor vanishes.
  int choose_seed_exponent() const {
    constexpr int kSteadyExponent = 32;
    double largest = 0;
    for (Index row = 0; row < num_rows_; ++row) {
      for (Index column = 0; column < num_columns_; ++column) {
        largest = std::max(largest, std::abs(scaled_upstream(row, column)));
      }
    }
    if (largest == 0 || !std::isfinite(largest)) return 0;
    const int exponent = std::ilogb(largest);
    return std::abs(exponent) <= kSteadyExponent ? 0 : exponent;
  }

  /// ∂L/∂K of a pair, by K as the kernels have it: K · 2^(s_x + s_y) (LaneProgram::scales_images).
  double scaled_upstream(Index row, Index column) const {
    double seed = upstream_.direct[as_size(row * num_columns_ + column)];
    if (tile_.triangle && row != column)
      seed += upstream_.direct[as_size(column * num_columns_ + row)];
    if (!upstream_.mirrored.empty()) seed += upstream_.mirrored[as_size(column * num_rows_ + row)];
    const int exponent = entry_exponent(tile_, row, column) - tile_.program.output_exponent;
    return exponent == 0 ? seed : std::ldexp(seed, -exponent);
  }

  T seed_of(Index row, Index column) const {
    const double seed = scaled_upstream(row, column);
    return static_cast<T>(seed_exponent_ == 0 ? seed : std::ldexp(seed, -seed_exponent_));
  }

  /// ∂L/∂K of every lane; false when all are 0. The mirror image of a pair is the same pair.
  bool set_seeds(Index row, Index first, Index count, DerivativeWorkspace<T>& w) const {
    bool any = false;
    std::fill_n(w.seeds.data(), w.seeds.size(), T(0));
    for (Index lane = 0; lane < count; ++lane) {
      const Index column = first + lane;
      if (tile_.triangle && column <= row) continue;
      const T seed = seed_of(row, column);
      w.seeds[as_size(lane)] = seed;
      any = any || seed != 0;
    }
    return any;
  }

  /// Σ adjoint · r √(1−c²) over the pairs of a pack, of every step that reads a relu.
  void add_bends(Index group, Index first) {
    const T* roots = pack_values(first) + tile_.program.input.num_values() * lanes_;
    for (Index i = 0; i < num_steps(); ++i) {
      const LaneStep& step = program_.steps[as_size(i)].forward;
      if (!reads_relu(step)) continue;
      const Index at = step.map_offset * lanes_;
      bends_[as_size(group * num_steps() + i)] +=
          dot(pack_sums(first) + at, roots + at, step.input.num_pixels() * lanes_);
    }
  }

  /// In eight chains of additions: one would be as long as their latency.
  static double dot(const T* a, const T* b, Index count) {
    constexpr Index kChains = 8;
    double sums[kChains] = {};
    const auto product = [&](Index p) {
      return static_cast<double>(a[p]) * static_cast<double>(b[p]);
    };
    Index p = 0;
    for (; p + kChains <= count; p += kChains) {
      for (Index k = 0; k < kChains; ++k) sums[k] += product(p + k);
    }
    for (; p < count; ++p) sums[0] += product(p);
    return std::accumulate(sums, sums + kChains, 0.0);
  }

  Index num_steps() const { return static_cast<Index>(program_.steps.size()); }
  /// Images and variances of the pack that starts with column `first`, [value][lane].
  const T* pack_values(Index first) const {
    return tile_.columns.view.packs + first / lanes_ * tile_.columns.view.pack_stride;
  }
  /// And its sums, [map pixel][lane].
  T* pack_sums(Index first) const { return sums_.columns.data() + first * maps_; }
  /// Those of a row image with the columns of a group, [map pixel].
  T* row_sums(Index group, Index row) const {
    return sums_.rows.data() + (group * num_rows_ + row) * maps_;
  }

  /// Adds the raw derivatives of the chains of all row images, or of all column images.
  void add_chains(std::vector<double>& raw, bool rows) {
    const Index n = (rows ? tile_.rows : tile_.columns).examples.size(), packs = num_packs<T>(n);
    std::vector<double> per_pack(as_size(packs * program_.num_raw()), 0.0);
    executor_.for_each(packs, [&](Index pack) {
      auto workspace = workspaces_.borrow();
      const Index first = pack * lanes_, count = std::min(lanes_, n - first);
      run_chain(rows, first, count, *workspace);
      for (Index k = 0; k < program_.num_raw(); ++k) {
        const T* const lane_sums = (*workspace).raw.data() + k * lanes_;
        per_pack[as_size(pack * program_.num_raw() + k)] =
            std::accumulate(lane_sums, lane_sums + count, 0.0);
      }
    });
    add_rows(raw, per_pack, packs);
  }

  void run_chain(bool rows, Index first, Index count, DerivativeWorkspace<T>& w) const {
    std::fill_n(w.seeds.data(), lanes_, T(0));
    for (Index i = 0; i < count && tile_.triangle; ++i) {
      w.seeds[as_size(i)] = seed_of(first + i, first + i);
    }
    if (rows) gather_row_sums(first, count, w.bend.data());
    w.run_chain(program_, rows ? tile_.rows : tile_.columns, first / lanes_,
                rows ? w.bend.data() : pack_sums(first));
  }

  /// The sums of a pack of row images, [map pixel][lane]: over all groups, and in a triangle with
  /// what the same images have as columns.
  void gather_row_sums(Index first, Index count, T* to) const {
    for_each_lane(maps_, count, [&](Range pixels, Index lane) {
      T sums[kLaneRange] = {};
      for (Index g = 0; g < num_groups(num_columns_); ++g) {
        if (row_has_sums_[as_size(g * num_rows_ + first + lane)] == 0) continue;
        const T* from = row_sums(g, first + lane) + pixels.start;
        for (Index i = 0; i < pixels.size(); ++i) sums[i] += from[i];
      }
      const T* as_columns = pack_sums(first);
      for (Index i = 0; i < pixels.size(); ++i) {
        const Index at = (pixels.start + i) * lanes_ + lane;
        to[at] = tile_.triangle ? sums[i] + as_columns[at] : sums[i];
      }
    });
  }

  const TileOperands<T>& tile_;
  const ReverseProgram& program_;
  TileUpstream upstream_;
  Executor& executor_;
  WorkspacePool<DerivativeWorkspace<T>>& workspaces_;
  PairBends<T>& sums_;
  std::span<T> kernel_;
  Index lanes_ = simd::kernels<T>().lanes;
  Index maps_, num_rows_, num_columns_;
  int seed_exponent_ = 0;           ///< seeds are divided by 2^seed_exponent_, gradients multiplied
  std::vector<double> raw_;         ///< [group, step, kNumRaw]
  std::vector<double> bends_;       ///< [group, step]
  std::vector<char> row_has_sums_;  ///< [group, row]: sums_.rows has been written
};

}  // namespace

namespace {

/// Extents of PairBends.
struct SumsExtents {
  Index rows, columns;
};

template <class T>
SumsExtents extents_of(const LaneProgram& program, Index tile_size) {
  const Index maps = program.num_map_pixels, lanes = simd::kernels<T>().lanes;
  return {num_groups(tile_size) * tile_size * maps, (tile_size + lanes - 1) / lanes * lanes * maps};
}

}  // namespace

template <class T>
PairBends<T> allocate_bend_sums(const LaneProgram& program, Index tile_size) {
  const SumsExtents e = extents_of<T>(program, tile_size);
  return {.rows = AlignedBuffer<T>(as_size(e.rows)),
          .columns = AlignedBuffer<T>(as_size(e.columns))};
}

template <class T>
std::size_t bend_sums_bytes(const LaneProgram& program, Index tile_size) {
  const SumsExtents e = extents_of<T>(program, tile_size);
  return as_size(e.rows + e.columns) * sizeof(T);
}

template std::size_t bend_sums_bytes<float>(const LaneProgram&, Index);
template std::size_t bend_sums_bytes<double>(const LaneProgram&, Index);
template PairBends<float> allocate_bend_sums(const LaneProgram&, Index);
template PairBends<double> allocate_bend_sums(const LaneProgram&, Index);

template <class T>
void compute_tile_gradient(const TileOperands<T>& tile, const ReverseProgram& program,
                           const TileUpstream& upstream, Executor& executor,
                           WorkspacePool<DerivativeWorkspace<T>>& workspaces,
                           WorkspacePool<PairBends<T>>& bend_sums, std::span<T> kernel,
                           std::span<double> gradient) {
  auto sums = bend_sums.borrow();
  TileGradient<T>(tile, program, upstream, executor, workspaces, *sums, kernel).add_to(gradient);
  if (tile.triangle && !kernel.empty()) mirror_triangle<T>(tile.rows.diagonal, kernel);
}

template void compute_tile_gradient(const TileOperands<float>&, const ReverseProgram&,
                                    const TileUpstream&, Executor&,
                                    WorkspacePool<DerivativeWorkspace<float>>&,
                                    WorkspacePool<PairBends<float>>&, std::span<float>,
                                    std::span<double>);
template void compute_tile_gradient(const TileOperands<double>&, const ReverseProgram&,
                                    const TileUpstream&, Executor&,
                                    WorkspacePool<DerivativeWorkspace<double>>&,
                                    WorkspacePool<PairBends<double>>&, std::span<double>,
                                    std::span<double>);

}  // namespace gramtile
