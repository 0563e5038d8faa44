#include "io/run/read/upstream.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "engine/core/errors.hpp"
#include "engine/core/factor_product.hpp"
#include "io/data/number_matrix.hpp"
#include "io/run/spec/content_hash.hpp"

namespace gramtile {
namespace {

/// A matrix of the shape that is needed; an extent of −1 may be anything.
std::unique_ptr<NumberMatrix> open_fitting(const std::string& path, const std::string& name,
                                           Index rows, Index columns) {
  auto matrix = open_matrix(path, name);
  const bool fits =
      (rows < 0 || matrix->num_rows() == rows) && (columns < 0 || matrix->num_columns() == columns);
  if (fits) return matrix;
  const auto extent = [](Index n) { return n < 0 ? std::string("r") : std::to_string(n); };
  throw DataError(matrix->name(),
                  fmt::format("has shape [{}, {}]; expected [{}, {}]", matrix->num_rows(),
                              matrix->num_columns(), extent(rows), extent(columns)));
}

void refuse_not_finite(const std::string& name, Range rows, Range columns,
                       std::span<const double> values) {
  const auto bad = std::ranges::find_if(values, [](double v) { return !std::isfinite(v); });
  if (bad == values.end()) return;
  const Index at = bad - values.begin();
  throw DataError(name, fmt::format("entry [{}, {}] is {}; every entry must be finite",
                                    rows.start + at / columns.size(),
                                    columns.start + at % columns.size(), *bad));
}

/// Reads a part and refuses values that are not finite.
void read_finite(NumberMatrix& matrix, Range rows, Range columns, std::span<double> values) {
  matrix.read(rows, columns, values);
  refuse_not_finite(matrix.name(), rows, columns, values);
}

/// Reads a matrix once by `read(rows, columns, values)`, in row blocks of about 8 MiB, and hashes
/// its shape and entries.
template <class Read>
void hash_rows(Index rows, Index columns, const Read& read, ContentHasher& hasher) {
  constexpr Index kBlockValues = 1 << 20;
  const Index step = std::max<Index>(1, kBlockValues / std::max<Index>(1, columns));
  const std::array shape{rows, columns};
  hasher.add(std::as_bytes(std::span(shape)));
  std::vector<double> values;
  for (Index start = 0; start < rows; start += step) {
    const Range range{start, std::min(start + step, rows)};
    values.resize(static_cast<std::size_t>(range.size() * columns));
    read(range, Range{0, columns}, std::span(values));
    hasher.add(std::as_bytes(std::span(values)));
  }
}

/// Checks every entry of a matrix and hashes it.
void check_and_add(NumberMatrix& matrix, ContentHasher& hasher) {
  hash_rows(
      matrix.num_rows(), matrix.num_columns(),
      [&](Range rows, Range columns, std::span<double> values) {
        read_finite(matrix, rows, columns, values);
      },
      hasher);
}

}  // namespace

std::string check_and_hash(const MatrixSource& matrix, const std::string& name) {
  ContentHasher hasher;
  hash_rows(
      matrix.num_rows(), matrix.num_columns(),
      [&](Range rows, Range columns, std::span<double> values) {
        matrix.read(rows, columns, values);
        refuse_not_finite(name, rows, columns, values);
      },
      hasher);
  return hasher.digest();
}

MatrixUpstream::MatrixUpstream(const std::string& file, const std::string& dataset, Index num_rows,
                               Index num_columns)
    : matrix_(open_fitting(file, dataset, num_rows, num_columns)) {}

MatrixUpstream::~MatrixUpstream() = default;

Index MatrixUpstream::num_rows() const { return matrix_->num_rows(); }
Index MatrixUpstream::num_columns() const { return matrix_->num_columns(); }

void MatrixUpstream::read(Range rows, Range columns, std::span<double> values) const {
  read_finite(*matrix_, rows, columns, values);
}

std::size_t MatrixUpstream::working_bytes() const { return matrix_->unpack_bytes(); }

std::string MatrixUpstream::check_and_hash() {
  ContentHasher hasher;
  check_and_add(*matrix_, hasher);
  return hasher.digest();
}

struct FactorUpstream::Impl {
  std::unique_ptr<NumberMatrix> u, v;  // [num_rows, rank], [num_columns, rank]
  Index rank = 0;
  // The rows that the last tile needed; tiles in a row of the plan share one of them.
  Range u_rows, v_rows;
  std::vector<double> u_values, v_values;

  static void load(NumberMatrix& matrix, Range rows, Index rank, Range& loaded,
                   std::vector<double>& values) {
    if (rows == loaded) return;
    loaded = {};
    values.resize(static_cast<std::size_t>(rows.size() * rank));
    read_finite(matrix, rows, {0, rank}, values);
    loaded = rows;
  }
};

FactorUpstream::FactorUpstream(const std::string& u_file, const std::string& u_dataset,
                               const std::string& v_file, const std::string& v_dataset,
                               Index num_rows, Index num_columns) {
  auto u = open_fitting(u_file, u_dataset, num_rows, -1);
  const Index rank = u->num_columns();
  auto v = open_fitting(v_file, v_dataset, num_columns, rank);
  impl_.reset(new Impl{std::move(u), std::move(v), rank, {}, {}, {}, {}});
}

FactorUpstream::~FactorUpstream() = default;

Index FactorUpstream::num_rows() const { return impl_->u->num_rows(); }
Index FactorUpstream::num_columns() const { return impl_->v->num_rows(); }

void FactorUpstream::read(Range rows, Range columns, std::span<double> values) const {
  Impl& d = *impl_;
  Impl::load(*d.u, rows, d.rank, d.u_rows, d.u_values);
  Impl::load(*d.v, columns, d.rank, d.v_rows, d.v_values);
  multiply_factors(d.u_values, d.v_values, rows.size(), columns.size(), values);
}

std::size_t FactorUpstream::working_bytes(Index tile_size) const {
  const Impl& d = *impl_;
  const Index held = std::min(tile_size, d.u->num_rows()) + std::min(tile_size, d.v->num_rows());
  const auto row_bytes = static_cast<std::size_t>(d.rank) * sizeof(double);
  return static_cast<std::size_t>(held) * row_bytes + d.u->unpack_bytes() + d.v->unpack_bytes();
}

std::string FactorUpstream::check_and_hash() {
  ContentHasher hasher;
  check_and_add(*impl_->u, hasher);
  check_and_add(*impl_->v, hasher);
  return hasher.digest();
}

}  // namespace gramtile
