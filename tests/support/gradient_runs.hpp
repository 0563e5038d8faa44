// Derivatives of small sets of images through the whole engine, and from the reference.
#pragma once

#include <vector>

#include "tests/support/lane_runs.hpp"

namespace gramtile::test {

/// The images of one matrix: K(rows, rows), or K(rows, columns).
struct MatrixImages {
  Images rows;
  Images columns = {};
  bool symmetric = true;

  static MatrixImages square(Images images) { return {std::move(images)}; }
  static MatrixImages cross(Images rows, Images columns) {
    return {std::move(rows), std::move(columns), false};
  }

  Index num_rows() const { return rows.size(); }
  Index num_columns() const { return symmetric ? rows.size() : columns.size(); }
  std::size_t num_entries() const { return static_cast<std::size_t>(num_rows() * num_columns()); }
  std::span<const double> column(Index j) const { return symmetric ? rows[j] : columns[j]; }
};

/// ∂K/∂θ [P, N, M] of the lane engine.
std::vector<double> lane_jacobian(const Program& program, const MatrixImages& images,
                                  const LaneRun& run = {});

/// ∂L/∂θ [P] of the lane engine for ∂L/∂K = `upstream` [N, M].
std::vector<double> lane_gradient(const Program& program, const MatrixImages& images,
                                  const std::vector<double>& upstream, const LaneRun& run = {});

/// ∂K/∂θ [P, N, M] of the reference; on the diagonal of a symmetric matrix, of the variance.
std::vector<double> reference_jacobian(const Program& program, const MatrixImages& images);

/// Σ_ij upstream_ij · jacobian_pij, and the sum of the terms' absolute values, for every p.
struct Contraction {
  std::vector<double> sum, magnitude;
};
Contraction contract(const std::vector<double>& upstream, const std::vector<double>& jacobian);

/// `size` normal numbers.
std::vector<double> random_numbers(std::uint64_t seed, std::size_t size);

/// Index of the parameter called `name`; fails the test when there is none.
std::size_t parameter_index(const Program& program, const std::string& name);

}  // namespace gramtile::test
