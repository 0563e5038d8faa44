#include "engine/solve/blas.hpp"

#include <cblas.h>
#include <fmt/format.h>

#include <mutex>
#include <sstream>

#include "engine/core/errors.hpp"

extern "C" {
void dpotrf_(const char* triangle, const int* n, double* a, const int* stride, int* info,
             std::size_t);
}

namespace gramtile::blas {
namespace {

// Tiles have edges of a few thousand at most; right-hand sides are as long as the matrix.
int as_int(Index n) { return static_cast<int>(n); }

/// C ← C + sign·op(A)·op(B).
void multiply(double sign, CBLAS_TRANSPOSE of_a, CBLAS_TRANSPOSE of_b, ConstMatrix a, ConstMatrix b,
              Matrix c) {
  const Index inner = of_a == CblasNoTrans ? a.columns : a.rows;
  cblas_dgemm(CblasColMajor, of_a, of_b, as_int(c.rows), as_int(c.columns), as_int(inner), sign,
              a.values, as_int(a.stride), b.values, as_int(b.stride), 1, c.values,
              as_int(c.stride));
}

void divide(CBLAS_SIDE side, CBLAS_TRANSPOSE of_l, ConstMatrix l, Matrix c) {
  cblas_dtrsm(CblasColMajor, side, CblasLower, of_l, CblasNonUnit, as_int(c.rows),
              as_int(c.columns), 1, l.values, as_int(l.stride), c.values, as_int(c.stride));
}

// OpenBLAS's dtrsm of 512 columns reaches 42 % of dgemm's rate, cut in halves down to a few dozen
// 65 to 69 % (2026-11-26, SkylakeX kernels): most of it is then dgemm. 640 = 40·2⁴.
constexpr Index kDivideEdge = 40;

/// Rows [row, row + rows) and columns [column, …) of a matrix.
template <typename T>
MatrixView<T> part(MatrixView<T> m, Index row, Index rows, Index column, Index columns) {
  return {m.values + row + column * m.stride, rows, columns, m.stride};
}
ConstMatrix as_operand(Matrix m) { return {m.values, m.rows, m.columns, m.stride}; }

constexpr int kOpenMp = 2;  // as openblas_get_parallel() has it

struct {
  std::mutex mutex;
  int users = 0, before = 1;  ///< of OneThread; threads before the first
} one_thread;

}  // namespace

std::string library_name() {
  constexpr const char* kFlavours[] = {"serial", "pthread", "OpenMP"};
  std::istringstream config(openblas_get_config());  // "OpenBLAS 0.3.21 NO_LAPACKE …"
  std::string name, version;
  config >> name >> version;
  const int flavour = openblas_get_parallel();
  return fmt::format("{} {} ({}, {})", name, version,
                     flavour >= 0 && flavour <= kOpenMp ? kFlavours[flavour] : "other",
                     openblas_get_corename());
}

OneThread::OneThread() {
  const std::lock_guard lock(one_thread.mutex);
  if (one_thread.users == 0) {
    one_thread.before = openblas_get_num_threads();
    openblas_set_num_threads(1);
    if (openblas_get_parallel() == kOpenMp && openblas_get_num_threads() != 1) {
      throw Error(ErrorKind::kOther, library_name() +
                                         " starts threads of its own; set OMP_NUM_THREADS=1, or "
                                         "install libopenblas0-pthread");
    }
  }
  ++one_thread.users;
}

OneThread::~OneThread() {
  const std::lock_guard lock(one_thread.mutex);
  if (--one_thread.users == 0) openblas_set_num_threads(one_thread.before);
}

void subtract_square(ConstMatrix a, Matrix c) {
  cblas_dsyrk(CblasColMajor, CblasLower, CblasNoTrans, as_int(c.rows), as_int(a.columns), -1,
              a.values, as_int(a.stride), 1, c.values, as_int(c.stride));
}

void subtract_product_transposed(ConstMatrix a, ConstMatrix b, Matrix c) {
  multiply(-1, CblasNoTrans, CblasTrans, a, b, c);
}

void subtract_product(ConstMatrix a, ConstMatrix b, Matrix c) {
  multiply(-1, CblasNoTrans, CblasNoTrans, a, b, c);
}

void subtract_transposed_product(ConstMatrix a, ConstMatrix b, Matrix c) {
  multiply(-1, CblasTrans, CblasNoTrans, a, b, c);
}

void add_product(ConstMatrix a, ConstMatrix b, Matrix c) {
  multiply(1, CblasNoTrans, CblasNoTrans, a, b, c);
}

void add_transposed_product(ConstMatrix a, ConstMatrix b, Matrix c) {
  multiply(1, CblasTrans, CblasNoTrans, a, b, c);
}

Index cholesky(Matrix a) {
  const int n = as_int(a.rows), stride = as_int(a.stride);
  int info = 0;
  dpotrf_("L", &n, a.values, &stride, &info, 1);
  return static_cast<Index>(info) - 1;
}

// L = [L₁ 0; M L₂], and C in the same parts: three steps each, the middle one a product.

void divide_right_transposed(ConstMatrix l, Matrix c) {
  if (l.rows <= kDivideEdge) return divide(CblasRight, CblasTrans, l, c);
  const Index half = l.rows / 2, rest = l.rows - half;
  const Matrix left = part(c, 0, c.rows, 0, half), right = part(c, 0, c.rows, half, rest);
  divide_right_transposed(part(l, 0, half, 0, half), left);
  subtract_product_transposed(as_operand(left), part(l, half, rest, 0, half), right);
  divide_right_transposed(part(l, half, rest, half, rest), right);
}

void divide_left(ConstMatrix l, Matrix c) {
  if (l.rows <= kDivideEdge) return divide(CblasLeft, CblasNoTrans, l, c);
  const Index half = l.rows / 2, rest = l.rows - half;
  const Matrix top = part(c, 0, half, 0, c.columns), bottom = part(c, half, rest, 0, c.columns);
  divide_left(part(l, 0, half, 0, half), top);
  subtract_product(part(l, half, rest, 0, half), as_operand(top), bottom);
  divide_left(part(l, half, rest, half, rest), bottom);
}

void divide_left_transposed(ConstMatrix l, Matrix c) {
  if (l.rows <= kDivideEdge) return divide(CblasLeft, CblasTrans, l, c);
  const Index half = l.rows / 2, rest = l.rows - half;
  const Matrix top = part(c, 0, half, 0, c.columns), bottom = part(c, half, rest, 0, c.columns);
  divide_left_transposed(part(l, half, rest, half, rest), bottom);
  subtract_transposed_product(part(l, half, rest, 0, half), as_operand(bottom), top);
  divide_left_transposed(part(l, 0, half, 0, half), top);
}

}  // namespace gramtile::blas
