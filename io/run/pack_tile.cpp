// A tile's numbers between the engine's form ([rows, columns], compact) and the file's (whole
// chunks).
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "engine/core/errors.hpp"
#include "io/run/tile_map.hpp"

namespace gramtile {
namespace {

template <typename T>
void fill_nan(std::span<std::byte> bytes) {
  const T nan = std::numeric_limits<T>::quiet_NaN();
  for (std::size_t i = 0; i < bytes.size(); i += sizeof(T)) std::memcpy(&bytes[i], &nan, sizeof(T));
}

template <typename T>
std::size_t first_not_finite(std::span<const std::byte> bytes) {
  const std::size_t count = bytes.size() / sizeof(T);
  for (std::size_t i = 0; i < count; ++i) {
    T value;
    std::memcpy(&value, &bytes[i * sizeof(T)], sizeof(T));
    if (!std::isfinite(value)) return i;
  }
  return count;
}

void check_finite(const RunSpec& spec, const Tile& tile, const std::string& what,
                  std::span<const std::byte> entries) {
  const bool single = spec.data_type == DataType::kFloat32;
  const std::size_t bad =
      single ? first_not_finite<float>(entries) : first_not_finite<double>(entries);
  if (bad * size_in_bytes(spec.data_type) >= entries.size()) return;
  const auto width = static_cast<std::size_t>(tile.columns.size());
  throw Error(
      ErrorKind::kOther,
      fmt::format("{}[{}, {}] is not finite: the network's numbers overflow {}; {}", what,
                  tile.rows.start + static_cast<Index>(bad / width),
                  tile.columns.start + static_cast<Index>(bad % width), name_of(spec.data_type),
                  single ? "use --dtype float64, or scale the images"
                         : "scale the images or the variances"));
}

/// Copies [rows, columns] into a padded chunk.
void pad(const Tile& tile, ChunkShape chunk, DataType type, std::span<const std::byte> entries,
         std::span<std::byte> padded) {
  const bool full = tile.rows.size() == chunk.rows && tile.columns.size() == chunk.columns;
  if (!full && type == DataType::kFloat32) fill_nan<float>(padded);
  if (!full && type == DataType::kFloat64) fill_nan<double>(padded);
  const std::size_t from = static_cast<std::size_t>(tile.columns.size()) * size_in_bytes(type);
  const std::size_t to = static_cast<std::size_t>(chunk.columns) * size_in_bytes(type);
  for (std::size_t row = 0; row < static_cast<std::size_t>(tile.rows.size()); ++row)
    std::memcpy(&padded[row * to], &entries[row * from], from);
}

template <typename T>
void transpose(std::size_t rows, std::size_t columns, const std::byte* from, std::byte* to) {
  constexpr std::size_t kBlock = 16;  // one cache line of floats each way
  for (std::size_t i0 = 0; i0 < rows; i0 += kBlock) {
    for (std::size_t j0 = 0; j0 < columns; j0 += kBlock) {
      for (std::size_t i = i0; i < std::min(rows, i0 + kBlock); ++i) {
        for (std::size_t j = j0; j < std::min(columns, j0 + kBlock); ++j)
          std::memcpy(to + (j * rows + i) * sizeof(T), from + (i * columns + j) * sizeof(T),
                      sizeof(T));
      }
    }
  }
}

}  // namespace

std::size_t packed_bytes(const RunSpec& spec, const Tile& tile) {
  const std::size_t chunk_bytes =
      chunk_shape(spec.plan, tile.matrix).num_entries() * size_in_bytes(spec.data_type);
  const auto num_chunks =
      static_cast<std::size_t>((spec.with_kernel ? 1 : 0) + num_jacobians(spec));
  return num_chunks * chunk_bytes + static_cast<std::size_t>(num_gradients(spec)) * sizeof(double);
}

std::vector<std::byte> pack(const RunSpec& spec, const TileResult& result) {
  const Tile& tile = result.tile;
  const MatrixSpec& matrix = spec.plan.matrices[static_cast<std::size_t>(tile.matrix)];
  const ChunkShape chunk = chunk_shape(spec.plan, tile.matrix);
  const std::size_t element = size_in_bytes(spec.data_type);
  const std::size_t entry_bytes =
      static_cast<std::size_t>(tile.rows.size() * tile.columns.size()) * element;
  const auto jacobians = static_cast<std::size_t>(num_jacobians(spec));
  const auto gradients = static_cast<std::size_t>(num_gradients(spec));
  if (result.kernel.size() < (spec.with_kernel ? entry_bytes : 0) ||
      result.jacobian.size() < jacobians * entry_bytes || result.gradient.size() < gradients ||
      (result.data_type != spec.data_type && (spec.with_kernel || jacobians > 0)))
    throw Error(ErrorKind::kOther,
                fmt::format("a bug: the engine delivered a tile of {} that lacks "
                            "what the output file is to hold",
                            matrix.name));
  std::vector<std::byte> packed(packed_bytes(spec, tile));
  std::size_t offset = 0;
  const auto append = [&](const std::string& what, std::span<const std::byte> entries) {
    check_finite(spec, tile, what, entries);
    const std::size_t bytes = chunk.num_entries() * element;
    pad(tile, chunk, spec.data_type, entries, std::span(packed).subspan(offset, bytes));
    offset += bytes;
  };
  if (spec.with_kernel) append(matrix.name, result.kernel.first(entry_bytes));
  for (std::size_t p = 0; p < jacobians; ++p)
    append(fmt::format("{}[{}]", jacobian_name(matrix), spec.parameter_names[p]),
           result.jacobian.subspan(p * entry_bytes, entry_bytes));
  for (std::size_t p = 0; p < gradients; ++p) {
    if (!std::isfinite(result.gradient[p]))
      throw Error(
          ErrorKind::kOther,
          fmt::format("the gradient by {} is not finite in rows {}:{}, columns {}:{} of {}; "
                      "use --dtype float64, or scale the images",
                      spec.parameter_names[p], tile.rows.start, tile.rows.stop, tile.columns.start,
                      tile.columns.stop, matrix.name));
  }
  if (gradients > 0)
    std::memcpy(&packed[offset], result.gradient.data(), gradients * sizeof(double));
  return packed;
}

void unpad(const Tile& tile, ChunkShape chunk, std::size_t element_bytes,
           std::span<const std::byte> padded, std::span<std::byte> entries) {
  const std::size_t to = static_cast<std::size_t>(tile.columns.size()) * element_bytes;
  const std::size_t from = static_cast<std::size_t>(chunk.columns) * element_bytes;
  for (std::size_t row = 0; row < static_cast<std::size_t>(tile.rows.size()); ++row)
    std::memcpy(&entries[row * to], &padded[row * from], to);
}

void transpose_chunk(ChunkShape chunk, std::size_t element_bytes, std::span<const std::byte> from,
                     std::span<std::byte> to) {
  const auto rows = static_cast<std::size_t>(chunk.rows);
  const auto columns = static_cast<std::size_t>(chunk.columns);
  if (element_bytes == sizeof(float)) {
    transpose<float>(rows, columns, from.data(), to.data());
  } else {
    transpose<double>(rows, columns, from.data(), to.data());
  }
}

}  // namespace gramtile
