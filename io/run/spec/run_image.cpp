#include "io/run/spec/run_image.hpp"

#include <algorithm>
#include <array>
#include <numeric>
#include <set>

#include "engine/core/version.hpp"
#include "io/run/spec/seal.hpp"
#include "io/run/spec/tile_map.hpp"

namespace gramtile {
namespace {

using hdf5::FileBuilder;

/// A scale that counts 0, 1, …; the names that the numbers stand for are an attribute of the root.
/// A scale of strings stops readers that know no strings of fixed length: Octave's load, netCDF4.
void add_counting_scale(FileBuilder& file, const std::string& name, std::size_t count) {
  std::vector<std::int64_t> numbers(count);
  std::iota(numbers.begin(), numbers.end(), 0);
  file.add_int64(name, {static_cast<Index>(count)}, numbers);
  file.make_scale(name);
}

/// Names of the axes, made on first use. A set on both axes of a symmetric matrix gets two scales,
/// `train` and `train_2`: xarray refuses a scale that occurs twice in one dataset.
class Axes {
 public:
  Axes(FileBuilder& file, const RunSpec& spec) : file_(file), spec_(spec) {}

  std::string of_set(Index set_index, bool second = false) {
    const ExampleSet& set = spec_.sets[static_cast<std::size_t>(set_index)];
    const std::string name = second ? set.name + "_2" : set.name;
    if (!made_.insert(name).second) return name;
    if (set.positions.empty()) {
      file_.generate_int64(name, {set.num_examples},
                           [first = set.first](Index i) { return first + i; });
    } else {
      file_.add_int64(name, {set.num_examples}, set.positions);
    }
    file_.make_scale(name);
    return name;
  }
  std::string of_parameters() {
    if (made_.insert("parameters").second) {
      add_counting_scale(file_, "parameters", spec_.parameter_names.size());
    }
    return "parameters";
  }
  std::string of_layers() {
    const std::int64_t zero = 0;
    if (made_.insert("layer").second) {
      file_.add_int64("layer", {1}, std::span(&zero, 1));
      file_.make_scale("layer");
    }
    return "layer";
  }

 private:
  FileBuilder& file_;
  const RunSpec& spec_;
  std::set<std::string> made_;
};

/// A dataset of computed numbers: `outer` axes of chunk extent 1, then the matrix.
struct MatrixDataset {
  std::string name;
  std::vector<Index> shape, chunk;
  std::vector<std::string> axes;
};

void append_matrix_axes(MatrixDataset& dataset, const RunSpec& spec, std::size_t m, Axes& axes) {
  const MatrixSpec& matrix = spec.plan.matrices[m];
  const ChunkShape chunk = chunk_shape(spec.plan, static_cast<Index>(m));
  dataset.shape.push_back(matrix.num_rows);
  dataset.chunk.push_back(chunk.rows);
  dataset.axes.push_back(axes.of_set(spec.axes[m].rows));
  if (matrix.kind == MatrixKind::kDiagonal) return;
  const bool same = spec.axes[m].rows == spec.axes[m].columns;
  dataset.shape.push_back(matrix.num_columns);
  dataset.chunk.push_back(chunk.columns);
  dataset.axes.push_back(axes.of_set(spec.axes[m].columns, same));
}

void reserve(FileBuilder& file, const RunSpec& spec, const MatrixDataset& dataset) {
  file.reserve_chunked(dataset.name, spec.data_type, dataset.shape, dataset.chunk);
  file.name_axes(dataset.name, dataset.axes);
}

/// Planes of one kind of matrix `m`. The matrix itself may have an axis of layers in front.
void reserve_planes(FileBuilder& file, const RunSpec& spec, const PlaneGroup& group, std::size_t m,
                    Axes& axes) {
  const Index planes = num_planes(spec, group);
  if (planes == 0) return;
  MatrixDataset dataset{dataset_name(group, spec.plan.matrices[m]), {}, {}, {}};
  if (group.per_parameter) {
    dataset.shape = {planes};
    dataset.chunk = {1};
    dataset.axes = {axes.of_parameters()};
  } else if (group.prefix.empty() && spec.layout == DatasetLayout::kCnnGp) {
    dataset.shape = dataset.chunk = {1};
    dataset.axes = {axes.of_layers()};
  }
  append_matrix_axes(dataset, spec, m, axes);
  reserve(file, spec, dataset);
}

void reserve_matrices(FileBuilder& file, const RunSpec& spec, Axes& axes) {
  for (std::size_t m = 0; m < spec.plan.matrices.size(); ++m) {
    for (const PlaneGroup& group : spec.content.planes) reserve_planes(file, spec, group, m, axes);
  }
  if (vector_size(spec) > 0) {
    const std::string& sum = spec.content.vector;
    file.reserve_contiguous(sum, DataType::kFloat64, {vector_size(spec)});
    file.name_axes(sum, {axes.of_parameters()});
    file.reserve_contiguous(tile_vector_name(spec), DataType::kFloat64,
                            {static_cast<Index>(spec.plan.tiles.size()), vector_size(spec)});
    file.name_axes(tile_vector_name(spec), {"tile", "parameters"});
  }
}

/// One dataset per matrix, as many chunks as the share has tiles of it.
void reserve_share(FileBuilder& file, const RunSpec& spec, Range tiles) {
  std::vector<Index> counts;
  for (std::size_t m = 0; m < spec.plan.matrices.size(); ++m) {
    const Range all = spec.plan.tiles.of_matrix(static_cast<Index>(m));
    counts.push_back(
        std::max(Index{0}, std::min(all.stop, tiles.stop) - std::max(all.start, tiles.start)));
  }
  for (std::size_t m = 0; m < counts.size(); ++m) {
    if (counts[m] == 0) continue;
    const ChunkShape c = chunk_shape(spec.plan, static_cast<Index>(m));
    const MatrixSpec& matrix = spec.plan.matrices[m];
    for (const PlaneGroup& group : spec.content.planes) {
      const Index planes = num_planes(spec, group);
      if (planes == 0) continue;
      std::vector<Index> shape{counts[m], c.rows, c.columns}, chunk{1, c.rows, c.columns};
      if (group.per_parameter) {
        shape.insert(shape.begin() + 1, planes);
        chunk.insert(chunk.begin() + 1, 1);
      }
      file.reserve_chunked(dataset_name(group, matrix), spec.data_type, shape, chunk);
    }
  }
  if (vector_size(spec) > 0 && tiles.size() > 0)
    file.reserve_contiguous(tile_vector_name(spec), DataType::kFloat64,
                            {tiles.size(), vector_size(spec)});
}

/// `tile` (position in the plan), `tiles` [n, 4], `tile_matrix` [n], `tile_hash` [n].
void add_tile_list(FileBuilder& file, const RunSpec& spec, Range tiles) {
  if (tiles.size() == 0) return;
  const auto tile_at = [all = spec.plan.tiles, tiles](Index position) {
    return all[static_cast<std::size_t>(tiles.start + position)];
  };
  file.generate_int64("tile", {tiles.size()}, [tiles](Index i) { return tiles.start + i; });
  file.make_scale("tile");
  const std::vector<std::string> bound_names{"row_start", "row_stop", "column_start",
                                             "column_stop"};
  add_counting_scale(file, "tile_bound", bound_names.size());
  file.set_attribute("", "tile_bound_names", bound_names);
  file.generate_int64("tiles", {tiles.size(), 4}, [tile_at](Index i) {
    const Tile tile = tile_at(i / 4);
    const std::array<Index, 4> bounds{tile.rows.start, tile.rows.stop, tile.columns.start,
                                      tile.columns.stop};
    return bounds[static_cast<std::size_t>(i % 4)];
  });
  file.name_axes("tiles", {"tile", "tile_bound"});
  file.generate_int64("tile_matrix", {tiles.size()},
                      [tile_at](Index i) { return tile_at(i).matrix; });
  file.name_axes("tile_matrix", {"tile"});
  file.reserve_uint64(kTileHashName, {tiles.size()});
  file.name_axes(kTileHashName, {"tile"});
}

/// Shares (no `axes`) keep labels without naming their axis.
void add_labels(FileBuilder& file, const RunSpec& spec, Axes* axes) {
  for (std::size_t i = 0; i < spec.sets.size(); ++i) {
    const ExampleSet& set = spec.sets[i];
    if (set.labels.empty()) continue;
    const std::string name = set.name + "_labels";
    file.add_int64(name, {static_cast<Index>(set.labels.size())}, set.labels);
    if (axes != nullptr) file.name_axes(name, {axes->of_set(static_cast<Index>(i))});
  }
}

/// Shares have no axes; positions that are not consecutive get a dataset of their own.
void add_positions(FileBuilder& file, const RunSpec& spec) {
  for (const ExampleSet& set : spec.sets) {
    if (set.positions.empty()) continue;
    file.add_int64(set.name + "_positions", {set.num_examples}, set.positions);
  }
}

/// [start, stop) of the smallest range of the source that holds the set.
std::vector<std::int64_t> bounds_of(const ExampleSet& set) {
  if (set.positions.empty()) return {set.first, set.first + set.num_examples};
  const auto [least, greatest] = std::minmax_element(set.positions.begin(), set.positions.end());
  return {*least, *greatest + 1};
}

void add_attributes(FileBuilder& file, const RunSpec& spec, std::optional<Shard> shard) {
  const auto set = [&](const char* name, const auto& value) {
    file.set_attribute("", name, value);
  };
  set("format", std::string(shard ? "gramtile share" : "gramtile run"));
  set("format_version", spec.mixture.empty() ? kFormatVersion : kMixedFormatVersion);
  set("program_version", std::string(kVersion));
  set("fingerprint", fingerprint_of(spec));
  set("network", spec.network);
  if (!spec.parameter_names.empty()) {
    set("parameter_names", spec.parameter_names);
    set("parameter_values", spec.parameter_values);
  }
  set("data_type", std::string(name_of(spec.data_type)));
  set("tile_size", std::int64_t{spec.plan.tile_size});
  std::vector<std::string> matrices;
  for (const MatrixSpec& matrix : spec.plan.matrices) matrices.push_back(matrix.name);
  set("matrices", matrices);
  set("instruction_set", spec.instruction_set);
  set("numerics_version", std::int64_t{spec.numerics_version});
  for (const ExampleSet& s : spec.sets) {
    file.set_attribute("", s.name + "_source", s.source);
    file.set_attribute("", s.name + "_hash", s.hash);
    file.set_attribute("", s.name + "_range", bounds_of(s));
  }
  if (!spec.upstream_hash.empty()) {
    set("upstream_source", spec.upstream);
    set("upstream_hash", spec.upstream_hash);
  }
  set("command", spec.command);
  set("created", spec.created);
  set("run", spec_to_json(spec));
  if (shard) set("shard", std::vector<std::int64_t>{shard->index, shard->count});
}

/// Last of all: whatever the library allocates now lies behind the regions of tiles.
void add_mixture(FileBuilder& file, const RunSpec& spec, Range tiles) {
  file.set_attribute("", "instruction_set", joined(spec.mixture.names));
  file.set_attribute("", kInstructionSetsName, spec.mixture.names);
  if (tiles.size() == 0) return;
  file.generate_int64(kTileInstructionSetName, {tiles.size()},
                      [mixture = spec.mixture](Index i) { return Index{mixture.at(i)}; });
  file.name_axes(kTileInstructionSetName, {"tile"});
}

}  // namespace

hdf5::FileImage build_image(const RunSpec& spec, std::optional<Shard> shard) {
  FileBuilder file;
  const Range tiles = tiles_of(spec.plan, shard);
  // First of all, so that it lies near the beginning. A scale of its own: every axis has one.
  file.reserve_uint64(kSealName, {num_seal_words(spec)});
  file.make_scale(kSealName);
  add_attributes(file, spec, shard);
  file.reserve_uint64(kCompleteName, {});
  add_tile_list(file, spec, tiles);
  Axes axes(file, spec);
  if (shard) {
    reserve_share(file, spec, tiles);
    add_positions(file, spec);
  } else {
    reserve_matrices(file, spec, axes);
  }
  add_labels(file, spec, shard ? nullptr : &axes);
  if (!spec.mixture.empty()) add_mixture(file, spec, tiles);
  return file.finish();
}

std::uint64_t output_bytes(const RunSpec& spec, std::optional<Shard> shard) {
  return build_image(spec, shard).size_bytes();
}

}  // namespace gramtile
