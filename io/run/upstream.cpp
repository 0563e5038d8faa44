// ∂L/∂K from disk.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "engine/core/errors.hpp"
#include "io/hdf5/hdf5.hpp"
#include "io/run/content_hash.hpp"
#include "io/run/read_run.hpp"

namespace gramtile {
namespace {

std::string label(const hdf5::Dataset& dataset) { return dataset.file() + ":/" + dataset.name(); }

std::string shape_text(const std::vector<Index>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

/// A two-dimensional dataset of numbers; an extent of −1 may be anything.
hdf5::Dataset open_matrix(const std::string& path, const std::string& name, Index rows,
                          Index columns) {
  hdf5::Dataset dataset = hdf5::File(path).dataset(name);
  const auto& shape = dataset.shape();
  const bool fits =
      shape.size() == 2 && (rows < 0 || shape[0] == rows) && (columns < 0 || shape[1] == columns);
  if (!fits) {
    const auto extent = [](Index n) { return n < 0 ? std::string("r") : std::to_string(n); };
    throw DataError(label(dataset), fmt::format("has shape {}; expected [{}, {}]",
                                                shape_text(shape), extent(rows), extent(columns)));
  }
  const auto kind = dataset.type().kind;
  if (kind != hdf5::ElementClass::kFloat && kind != hdf5::ElementClass::kInteger)
    throw DataError(label(dataset), "holds " + dataset.type().name() + " values; expected numbers");
  return dataset;
}

/// Reads a part and refuses values that are not finite.
void read_finite(const hdf5::Dataset& dataset, Range rows, Range columns,
                 std::span<double> values) {
  const std::array<Range, 2> ranges{rows, columns};
  dataset.read(ranges, values);
  const auto bad = std::ranges::find_if(values, [](double v) { return !std::isfinite(v); });
  if (bad == values.end()) return;
  const Index at = bad - values.begin();
  throw DataError(label(dataset), fmt::format("entry [{}, {}] is {}; every entry must be finite",
                                              rows.start + at / columns.size(),
                                              columns.start + at % columns.size(), *bad));
}

/// Reads a matrix once, in row blocks of about 8 MiB: checks every entry and hashes it.
void check_and_add(const hdf5::Dataset& dataset, ContentHasher& hasher) {
  constexpr Index kBlockValues = 1 << 20;
  const Index rows = dataset.shape()[0], columns = dataset.shape()[1];
  const Index step = std::max<Index>(1, kBlockValues / std::max<Index>(1, columns));
  hasher.add(std::as_bytes(std::span(dataset.shape())));
  std::vector<double> values;
  for (Index start = 0; start < rows; start += step) {
    const Range range{start, std::min(start + step, rows)};
    values.resize(static_cast<std::size_t>(range.size() * columns));
    read_finite(dataset, range, {0, columns}, values);
    hasher.add(std::as_bytes(std::span(values)));
  }
}

}  // namespace

struct Hdf5Upstream::Impl {
  hdf5::Dataset dataset;
};

Hdf5Upstream::Hdf5Upstream(const std::string& file, const std::string& dataset, Index num_rows,
                           Index num_columns)
    : impl_(new Impl{open_matrix(file, dataset, num_rows, num_columns)}) {}

Hdf5Upstream::~Hdf5Upstream() = default;

void Hdf5Upstream::read(Range rows, Range columns, std::span<double> values) {
  read_finite(impl_->dataset, rows, columns, values);
}

std::size_t Hdf5Upstream::working_bytes() const { return impl_->dataset.unpack_bytes(); }

std::string Hdf5Upstream::check_and_hash() {
  ContentHasher hasher;
  check_and_add(impl_->dataset, hasher);
  return hasher.digest();
}

struct FactorUpstream::Impl {
  hdf5::Dataset u, v;  // [num_rows, rank], [num_columns, rank]
  Index rank = 0;
  // The rows that the last tile needed; tiles in a row of the plan share one of them.
  Range u_rows, v_rows;
  std::vector<double> u_values, v_values;

  static void load(const hdf5::Dataset& dataset, Range rows, Index rank, Range& loaded,
                   std::vector<double>& values) {
    if (rows == loaded) return;
    loaded = {};
    values.resize(static_cast<std::size_t>(rows.size() * rank));
    read_finite(dataset, rows, {0, rank}, values);
    loaded = rows;
  }
};

FactorUpstream::FactorUpstream(const std::string& u_file, const std::string& u_dataset,
                               const std::string& v_file, const std::string& v_dataset,
                               Index num_rows, Index num_columns) {
  hdf5::Dataset u = open_matrix(u_file, u_dataset, num_rows, -1);
  const Index rank = u.shape()[1];
  hdf5::Dataset v = open_matrix(v_file, v_dataset, num_columns, rank);
  impl_.reset(new Impl{std::move(u), std::move(v), rank, {}, {}, {}, {}});
}

FactorUpstream::~FactorUpstream() = default;

// Each entry is one sum in the order of r, whatever the tile: the same bits for every tiling.
void FactorUpstream::read(Range rows, Range columns, std::span<double> values) {
  Impl& d = *impl_;
  Impl::load(d.u, rows, d.rank, d.u_rows, d.u_values);
  Impl::load(d.v, columns, d.rank, d.v_rows, d.v_values);
  const auto rank = static_cast<std::size_t>(d.rank);
  std::size_t out = 0;
  for (std::size_t i = 0; i < static_cast<std::size_t>(rows.size()); ++i) {
    for (std::size_t j = 0; j < static_cast<std::size_t>(columns.size()); ++j) {
      double sum = 0;
      for (std::size_t r = 0; r < rank; ++r)
        sum += d.u_values[i * rank + r] * d.v_values[j * rank + r];
      values[out++] = sum;
    }
  }
}

std::size_t FactorUpstream::working_bytes(Index tile_size) const {
  const Impl& d = *impl_;
  const Index held = std::min(tile_size, d.u.shape()[0]) + std::min(tile_size, d.v.shape()[0]);
  const auto row_bytes = static_cast<std::size_t>(d.rank) * sizeof(double);
  return static_cast<std::size_t>(held) * row_bytes + d.u.unpack_bytes() + d.v.unpack_bytes();
}

std::string FactorUpstream::check_and_hash() {
  ContentHasher hasher;
  check_and_add(impl_->u, hasher);
  check_and_add(impl_->v, hasher);
  return hasher.digest();
}

}  // namespace gramtile
