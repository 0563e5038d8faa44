// The dense operations that the solver is made of, on column-major tiles, by OpenBLAS: the only
// place that knows BLAS and LAPACK. One thread an operation: which tiles run at the same time is
// the solver's own schedule. OpenBLAS's threads would make the bits depend on their number
// (docs/decisions/solve_in_tiles.md).
//
// Thread-safety: operations on different results may run at the same time.
#pragma once

#include <string>
#include <vector>

#include "engine/core/index.hpp"

namespace gramtile::blas {

/// Column-major: entry (i, j) is values[i + j · stride].
template <typename T>
struct MatrixView {
  T* values = nullptr;
  Index rows = 0, columns = 0;
  Index stride = 0;
};
using Matrix = MatrixView<double>;
using ConstMatrix = MatrixView<const double>;

/// "OpenBLAS 0.3.21 (pthread, SkylakeX)": version, flavour, and the kernels for this processor. The
/// bits of a factor depend on it.
std::string library_name();

/// From now on one thread an operation, in the whole process. Throws Error(kOther) for a flavour of
/// OpenBLAS that does not obey (OpenMP's, unless OMP_NUM_THREADS=1).
void use_one_thread();

/// C ← C − A·Aᵀ, the lower triangle alone.
void subtract_square(ConstMatrix a, Matrix c);
/// C ← C − A·Bᵀ.
void subtract_product_transposed(ConstMatrix a, ConstMatrix b, Matrix c);
/// C ← C − A·B.
void subtract_product(ConstMatrix a, ConstMatrix b, Matrix c);
/// C ← C − Aᵀ·B.
void subtract_transposed_product(ConstMatrix a, ConstMatrix b, Matrix c);

/// A = L·Lᵀ; L takes the place of A's lower triangle, the upper one is left alone. Returns −1, or
/// the first index whose pivot is not positive; the pivot is then on the diagonal there.
Index cholesky(Matrix a);

/// C ← C·L⁻ᵀ, L lower triangular.
void divide_right_transposed(ConstMatrix l, Matrix c);
/// C ← L⁻¹·C.
void divide_left(ConstMatrix l, Matrix c);
/// C ← L⁻ᵀ·C.
void divide_left_transposed(ConstMatrix l, Matrix c);

/// Higham's estimate of ‖A‖₁ of a symmetric A that is known by what it does to a vector (LAPACK's
/// dlacn2): a lower bound, seldom off by more than a factor of three. `apply` replaces x, [size],
/// by A·x.
template <typename Apply>
double estimate_norm(Index size, const Apply& apply);

/// One step of dlacn2: true when x is to be replaced by A·x, false at the end.
class NormEstimate {
 public:
  explicit NormEstimate(Index size);
  bool next();
  std::vector<double>& x() { return x_; }
  double value() const { return value_; }

 private:
  std::vector<double> v_, x_;
  std::vector<int> signs_;
  int state_ = 0;
  int memory_[3] = {};
  double value_ = 0;
};

// ---

template <typename Apply>
double estimate_norm(Index size, const Apply& apply) {
  NormEstimate estimate(size);
  while (estimate.next()) apply(estimate.x());
  return estimate.value();
}

}  // namespace gramtile::blas
