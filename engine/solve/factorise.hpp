// The tiled Cholesky factorisation, left-looking, by panels of block columns.
//
//   for every panel:   its tiles of K + jitter·I are read
//     for every block column k that was kept:   C_ij ← C_ij − L_ik·L_jkᵀ   tiles (i, j) of the
//     panel for every block column j of the panel:    C_jj = L_jj·L_jjᵀ, L_ij = C_ij·L_jj⁻ᵀ, then
//     the
//                                               rest of the panel less its products
//
// Every tile gets its products one after another in the order of k, each by one operation on tiles
// of the same extents, whatever the panel's width and the number of threads: so the bits depend on
// neither, and are the same in memory and on disk.
#pragma once

#include <optional>

#include "engine/core/errors.hpp"
#include "engine/solve/factor_store.hpp"
#include "engine/solve/kernel_facts.hpp"
#include "engine/solve/symmetric_source.hpp"

namespace gramtile {

class SolveContext;

/// The first pivot that is not positive within rounding.
struct PivotFailure {
  Index index = 0;   ///< row of the matrix
  double pivot = 0;  ///< K̃_pp − Σ_k L_pk², what was left of the diagonal
};

/// Pivots up to this are not told from 0: (p + 2)·2⁻⁵³·K̃_pp is the bound on what rounding does to
/// the diagonal of L·Lᵀ (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., thm 10.3:
/// |K̃ − L·Lᵀ| ≤ γ|L|·|Lᵀ|, whose diagonal is that of K̃).
double pivot_tolerance(Index row, double diagonal);

/// Factors K + jitter·I into `store`, from its first panel that was not kept. Stops at the first
/// pivot that is not positive; `store` then holds the panels before.
std::optional<PivotFailure> factorise(const SymmetricSource& kernel, const KernelFacts& facts,
                                      double jitter, FactorStore& store, SolveContext& context);

/// Floating-point operations from block column `first` on, those on whole tiles of the diagonal
/// included; a little more than N³/3 in all.
double factorisation_flops(const FactorGrid& grid, Index first = 0);

}  // namespace gramtile
