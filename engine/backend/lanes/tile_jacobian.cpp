#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/backend/lanes/tile_derivative.hpp"
#include "engine/lanes/derivatives.hpp"
#include "engine/simd/kernels.hpp"

namespace gramtile {
namespace {

/// to[p] = the derivative by parameter p of lane `lane`, whose K is stored times 2^exponent.
template <class Raw>
void derivatives_of_lane(const ReverseProgram& program, const Raw* raw, Index lanes, Index lane,
                         int exponent, std::vector<double>& to) {
  std::fill(to.begin(), to.end(), 0.0);
  add_derivatives(program, raw + lane, lanes, to);
  if (exponent == 0) return;
  for (double& derivative : to) derivative = std::ldexp(derivative, -exponent);
}

template <class T>
void run_pack(const TileOperands<T>& tile, const ReverseProgram& program, Index row, Index first,
              DerivativeWorkspace<T>& w, std::span<T> kernel, std::span<T> jacobian) {
  const simd::Kernels<T>& kernels = simd::kernels<T>();
  const LaneSteps forward = tile.program.view(ForwardMode::kJacobian);
  const Index num_rows = tile.rows.examples.size(), num_columns = tile.columns.examples.size();
  const Index count = std::min(kernels.lanes, num_columns - first);
  const PackOperands<T> pack{
      tile.rows.view.rows + row * tile.rows.view.row_stride,
      tile.columns.view.packs + first / kernels.lanes * tile.columns.view.pack_stride,
      w.pair.slots.data(), w.pair.scratch.data()};
  kernels.forward(forward, pack);
  const T* result = pack.slots + forward.output_slot * forward.slot_stride * kernels.lanes;
  if (!kernel.empty()) store_entries(tile, result, row, first, count, kernel);
  T* adjoints = w.adjoints.data();
  const Index set = program.num_adjoints * forward.slot_stride * kernels.lanes;
  T* side_scratch = w.side_scratch.data();
  kernels.jacobian(program.view(ForwardMode::kJacobian),
                   {.pack = pack,
                    .adjoints = adjoints,
                    .row_adjoints = adjoints + set,
                    .column_adjoints = adjoints + 2 * set,
                    .row_scratch = side_scratch,
                    .column_scratch = side_scratch + tile.program.scratch_vectors * kernels.lanes,
                    .bend = w.bend.data(),
                    .raw = w.raw.data()});
  std::vector<double> derivatives(as_size(program.num_parameters));
  for (Index lane = 0; lane < count; ++lane) {
    const int exponent = entry_exponent(tile, row, first + lane) - tile.program.output_exponent;
    derivatives_of_lane(program, w.raw.data(), kernels.lanes, lane, exponent, derivatives);
    T* to = jacobian.data() + row * num_columns + first + lane;
    for (std::size_t p = 0; p < derivatives.size(); ++p) {
      to[as_size(num_rows * num_columns) * p] = static_cast<T>(derivatives[p]);
    }
  }
}

}  // namespace

template <class T>
void compute_diagonal_jacobian(const PreparedBlock<T>& block, const ReverseProgram& program,
                               Executor& executor,
                               WorkspacePool<DerivativeWorkspace<T>>& workspaces,
                               std::span<T> jacobian) {
  const Index n = block.examples.size(), lanes = simd::kernels<T>().lanes;
  executor.for_each(num_packs<T>(n), [&](Index pack) {
    auto workspace = workspaces.borrow();
    const Index first = pack * lanes, count = std::min(lanes, n - first);
    DerivativeWorkspace<T>& w = *workspace;
    std::fill_n(w.seeds.data(), lanes, T(1));
    w.run_chain(program, block, pack, nullptr);
    std::vector<double> derivatives(as_size(program.num_parameters));
    for (Index lane = 0; lane < count; ++lane) {
      const int exponent = 2 * block.exponents[as_size(first + lane)];
      derivatives_of_lane(program, w.raw.data(), lanes, lane, exponent, derivatives);
      for (std::size_t p = 0; p < derivatives.size(); ++p) {
        jacobian[p * as_size(n) + as_size(first + lane)] = static_cast<T>(derivatives[p]);
      }
    }
  });
}

template <class T>
void compute_tile_jacobian(const TileOperands<T>& tile, const ReverseProgram& program,
                           Executor& executor, WorkspacePool<DerivativeWorkspace<T>>& workspaces,
                           std::span<T> kernel, std::span<T> jacobian) {
  const Index num_rows = tile.rows.examples.size(), num_columns = tile.columns.examples.size();
  const Index lanes = simd::kernels<T>().lanes;
  const Index chunks = (num_rows + kStripRows - 1) / kStripRows;
  const Index packs = num_packs<T>(num_columns);
  executor.for_each(packs * chunks, [&](Index number) {
    auto workspace = workspaces.borrow();
    const Index first = number % packs * lanes, start = number / packs * kStripRows;
    for (Index row = start; row < std::min(start + kStripRows, num_rows); ++row) {
      if (tile.triangle && std::min(first + lanes, num_columns) <= row + 1) break;
      executor.leave_if_abandoned();
      run_pack(tile, program, row, first, *workspace, kernel, jacobian);
    }
  });
  if (!tile.triangle) return;
  if (!kernel.empty()) mirror_triangle<T>(tile.rows.diagonal, kernel);
  std::vector<T> diagonal(as_size(program.num_parameters * num_rows));
  compute_diagonal_jacobian<T>(tile.rows, program, executor, workspaces, diagonal);
  for (Index p = 0; p < program.num_parameters; ++p) {
    const std::vector<double> plane(diagonal.begin() + p * num_rows,
                                    diagonal.begin() + (p + 1) * num_rows);
    mirror_triangle<T>(
        plane, jacobian.subspan(as_size(p * num_rows * num_rows), as_size(num_rows * num_rows)));
  }
}

template void compute_diagonal_jacobian(const PreparedBlock<float>&, const ReverseProgram&,
                                        Executor&, WorkspacePool<DerivativeWorkspace<float>>&,
                                        std::span<float>);
template void compute_diagonal_jacobian(const PreparedBlock<double>&, const ReverseProgram&,
                                        Executor&, WorkspacePool<DerivativeWorkspace<double>>&,
                                        std::span<double>);
template void compute_tile_jacobian(const TileOperands<float>&, const ReverseProgram&, Executor&,
                                    WorkspacePool<DerivativeWorkspace<float>>&, std::span<float>,
                                    std::span<float>);
template void compute_tile_jacobian(const TileOperands<double>&, const ReverseProgram&, Executor&,
                                    WorkspacePool<DerivativeWorkspace<double>>&, std::span<double>,
                                    std::span<double>);

}  // namespace gramtile
