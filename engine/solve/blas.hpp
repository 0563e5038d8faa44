// The dense operations that the solver is made of, on column-major tiles, by OpenBLAS: the only
// place that knows BLAS and LAPACK. One thread an operation: which tiles run at the same time is
// the solver's own schedule. OpenBLAS's threads would make the bits depend on their number
// (docs/decisions/solve_in_tiles.md).
//
// Thread-safety: operations on different results may run at the same time.
#pragma once

#include <string>

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

/// While one lives, OpenBLAS takes one thread for an operation, in the whole process; behind the
/// last it takes as many as before, for others of the process. May be made in several threads.
class OneThread {
 public:
  /// Throws Error(kOther) for a flavour of OpenBLAS that does not obey (OpenMP's, unless
  /// OMP_NUM_THREADS=1).
  OneThread();
  ~OneThread();
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;
};

/// C ← C − A·Aᵀ, the lower triangle alone.
void subtract_square(ConstMatrix a, Matrix c);
/// C ← C − A·Bᵀ.
void subtract_product_transposed(ConstMatrix a, ConstMatrix b, Matrix c);
/// C ← C − A·B.
void subtract_product(ConstMatrix a, ConstMatrix b, Matrix c);
/// C ← C − Aᵀ·B.
void subtract_transposed_product(ConstMatrix a, ConstMatrix b, Matrix c);
/// C ← C + A·B.
void add_product(ConstMatrix a, ConstMatrix b, Matrix c);
/// C ← C + Aᵀ·B.
void add_transposed_product(ConstMatrix a, ConstMatrix b, Matrix c);

/// A = L·Lᵀ; L takes the place of A's lower triangle, the upper one is left alone. Returns −1, or
/// the first index whose pivot is not positive; the pivot is then on the diagonal there.
Index cholesky(Matrix a);

/// C ← C·L⁻ᵀ, L lower triangular.
void divide_right_transposed(ConstMatrix l, Matrix c);
/// C ← L⁻¹·C.
void divide_left(ConstMatrix l, Matrix c);
/// C ← L⁻ᵀ·C.
void divide_left_transposed(ConstMatrix l, Matrix c);

}  // namespace gramtile::blas
