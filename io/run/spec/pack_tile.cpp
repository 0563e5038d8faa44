// A tile's numbers between the engine's form ([rows, columns], compact) and the file's (whole
// chunks).
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "engine/core/errors.hpp"
#include "io/run/spec/tile_map.hpp"

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
  return static_cast<std::size_t>(num_planes(spec)) * chunk_bytes +
         static_cast<std::size_t>(vector_size(spec)) * sizeof(double);
}

std::vector<std::byte> pack(const RunSpec& spec, const TileResult& result) {
  const Tile& tile = result.tile;
  const MatrixSpec& matrix = spec.plan.matrices[static_cast<std::size_t>(tile.matrix)];
  const ChunkShape chunk = chunk_shape(spec.plan, tile.matrix);
  const std::size_t element = size_in_bytes(spec.data_type);
  const std::size_t entry_bytes =
      static_cast<std::size_t>(tile.rows.size() * tile.columns.size()) * element;
  const auto vector = static_cast<std::size_t>(vector_size(spec));
  bool is_whole = result.vector.size() >= vector &&
                  (result.data_type == spec.data_type || spec.content.planes.empty());
  for (const PlaneGroup& group : spec.content.planes) {
    const std::size_t needed = static_cast<std::size_t>(num_planes(spec, group)) * entry_bytes;
    is_whole = is_whole && result.plane(group.name).size() >= needed;
  }
  if (!is_whole)
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
  for (const PlaneGroup& group : spec.content.planes) {
    const std::string name = dataset_name(group, matrix);
    const auto count = static_cast<std::size_t>(num_planes(spec, group));
    for (std::size_t p = 0; p < count; ++p)
      append(group.per_parameter ? fmt::format("{}[{}]", name, spec.parameter_names[p]) : name,
             result.plane(group.name).subspan(p * entry_bytes, entry_bytes));
  }
  for (std::size_t p = 0; p < vector; ++p) {
    if (!std::isfinite(result.vector[p]))
      throw Error(ErrorKind::kOther,
                  fmt::format("the {} by {} is not finite in rows {}:{}, columns {}:{} of {}; "
                              "use --dtype float64, or scale the images",
                              spec.content.vector, spec.parameter_names[p], tile.rows.start,
                              tile.rows.stop, tile.columns.start, tile.columns.stop, matrix.name));
  }
  if (vector > 0) std::memcpy(&packed[offset], result.vector.data(), vector * sizeof(double));
  return packed;
}

UnpackedTile::UnpackedTile(const RunSpec& spec, const Tile& tile,
                           std::span<const std::byte> packed) {
  const ChunkShape chunk = chunk_shape(spec.plan, tile.matrix);
  const std::size_t element = size_in_bytes(spec.data_type);
  const std::size_t chunk_bytes = chunk.num_entries() * element;
  const std::size_t entry_bytes =
      static_cast<std::size_t>(tile.rows.size() * tile.columns.size()) * element;
  const auto count = static_cast<std::size_t>(num_planes(spec));
  entries_.resize(count * entry_bytes);
  for (std::size_t i = 0; i < count; ++i)
    unpad(tile, chunk, element, packed.subspan(i * chunk_bytes, chunk_bytes),
          std::span(entries_).subspan(i * entry_bytes, entry_bytes));
  std::size_t first = 0;
  for (const PlaneGroup& group : spec.content.planes) {
    const std::size_t bytes = static_cast<std::size_t>(num_planes(spec, group)) * entry_bytes;
    planes_.push_back({group.name, std::span<const std::byte>(entries_).subspan(first, bytes)});
    first += bytes;
  }
  vector_.resize(static_cast<std::size_t>(vector_size(spec)));
  std::ranges::copy(packed.subspan(count * chunk_bytes),
                    std::as_writable_bytes(std::span(vector_)).begin());
  result_ = {.tile = tile, .data_type = spec.data_type, .planes = planes_, .vector = vector_};
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
