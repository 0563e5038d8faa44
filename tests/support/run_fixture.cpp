#include "tests/support/run_fixture.hpp"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <numeric>
#include <stdexcept>

#include "io/run/write/run_writer.hpp"
#include "tests/support/short_form.hpp"

namespace gramtile::test {
namespace {

ExampleSet example_set(const std::string& name, Index count, Index first) {
  ExampleSet set;
  set.name = name;
  set.source = "data/" + name;
  set.hash = std::string(31, '0') + std::to_string(count % 10);
  set.num_examples = count;
  set.first = first;
  return set;
}

RunSpec base_spec(std::vector<MatrixSpec> matrices, Index tile_size) {
  RunSpec spec;
  spec.plan = plan_tiles(std::move(matrices), tile_size);
  spec.network = R"({"layers": []})";
  spec.instruction_set = "TEST";
  spec.command = "kernel-build --network test";
  spec.created = "2026-01-01T00:00:00Z";
  return spec;
}

template <typename T>
std::vector<std::byte> planes(const RunSpec& spec, const Tile& tile, Index first, Index count) {
  std::vector<T> values;
  for (Index p = first; p < first + count; ++p) {
    for (Index i = tile.rows.start; i < tile.rows.stop; ++i) {
      for (Index j = tile.columns.start; j < tile.columns.stop; ++j)
        values.push_back(static_cast<T>(fake_entry(spec, tile.matrix, p, i, j)));
    }
  }
  const auto bytes = std::as_bytes(std::span(values));
  return {bytes.begin(), bytes.end()};
}

}  // namespace

TemporaryFolder::TemporaryFolder() {
  // In memory where there is such a folder: tests sync thousands of times.
  const bool in_memory = std::getenv("TMPDIR") == nullptr && access("/dev/shm", W_OK) == 0;
  const auto parent = in_memory ? "/dev/shm" : std::filesystem::temp_directory_path();
  std::string name = (parent / "gramtile-test-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make " + name);
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void TemporaryFolder::clear() const {
  for (const auto& entry : std::filesystem::directory_iterator(path_))
    std::filesystem::remove_all(entry.path());
}

RunSpec kernel_spec(Index num_train, Index num_test) {
  RunSpec spec = base_spec({{"Kxx", MatrixKind::kSymmetric, num_train, num_train},
                            {"Kxtx", MatrixKind::kCross, num_test, num_train},
                            {"Kt_diag", MatrixKind::kDiagonal, num_test, 1}},
                           8);
  spec.sets = {example_set("train", num_train, 0), example_set("test", num_test, 100)};
  spec.sets[0].labels.resize(static_cast<std::size_t>(num_train));
  std::iota(spec.sets[0].labels.begin(), spec.sets[0].labels.end(), 7);
  spec.axes = {{0, 0}, {1, 0}, {1, 1}};
  return spec;
}

RunSpec gradient_spec(Index num_train) {
  RunSpec spec = base_spec({{"Kxx", MatrixKind::kSymmetric, num_train, num_train}}, 8);
  spec.sets = {example_set("train", num_train, 0)};
  spec.axes = {{0, 0}};
  spec.content = content_of(true, Derivative::kGradient);
  spec.parameter_names = {"conv0.var_weight", "conv0.var_bias", "w"};
  spec.parameter_values = {2.79, 7.86, 1};
  spec.upstream_hash = std::string(32, 'a');
  return spec;
}

RunSpec campaign_kernel_spec() { return kernel_spec(many_or_few(61, 29), many_or_few(30, 13)); }
RunSpec campaign_gradient_spec() { return gradient_spec(many_or_few(61, 29)); }

RunSpec jacobian_spec() {
  RunSpec spec = base_spec({{"Kxtx", MatrixKind::kCross, 13, 21}}, 8);
  spec.sets = {example_set("train", 21, 0), example_set("test", 13, 0)};
  spec.axes = {{1, 0}};
  spec.data_type = DataType::kFloat64;
  spec.content = content_of(true, Derivative::kJacobian);
  spec.parameter_names = {"conv0.var_weight", "conv0.var_bias"};
  spec.parameter_values = {2.79, 7.86};
  return spec;
}

RunSpec made_up_spec() {
  RunSpec spec = base_spec({{"Kxx", MatrixKind::kSymmetric, 21, 21},
                            {"Kxtx", MatrixKind::kCross, 13, 21},
                            {"Kt_diag", MatrixKind::kDiagonal, 13, 1}},
                           8);
  spec.sets = {example_set("train", 21, 0), example_set("test", 13, 0)};
  spec.axes = {{0, 0}, {1, 0}, {1, 1}};
  spec.parameter_names = {"conv0.var_weight", "conv0.var_bias"};
  spec.parameter_values = {2.79, 7.86};
  spec.content = {.planes = {{.name = "spin", .prefix = "Spin_"},
                             {.name = "kernel", .prefix = ""},
                             {.name = "charge", .prefix = "q", .per_parameter = true}},
                  .vector = "moment"};
  return spec;
}

Index fake_plane(const RunSpec& spec, const std::string& group) {
  if (group == kKernelPlane) return 0;
  if (group == kJacobianPlane) return 1;
  const auto found = std::ranges::find(spec.content.planes, group, &PlaneGroup::name);
  return 100 * (1 + (found - spec.content.planes.begin()));
}

double fake_entry(const RunSpec& spec, Index matrix, Index plane, Index row, Index column) {
  const bool symmetric =
      spec.plan.matrices[static_cast<std::size_t>(matrix)].kind == MatrixKind::kSymmetric;
  if (symmetric && row > column) std::swap(row, column);
  const Index mixed = matrix * 7919 + plane * 104729 + row * 613 + column * 17 + 1;
  return std::sin(static_cast<double>(mixed));
}

void deliver(const RunSpec& spec, Index index, TileSink& sink) {
  const Tile tile = spec.plan.tiles[static_cast<std::size_t>(index)];
  const bool single = spec.data_type == DataType::kFloat32;
  const auto num_parameters = static_cast<Index>(spec.parameter_names.size());
  std::vector<std::vector<std::byte>> entries;
  std::vector<TilePlane> groups;
  for (const PlaneGroup& group : spec.content.planes) {
    const Index first = fake_plane(spec, group.name), count = group.num_planes(num_parameters);
    entries.push_back(single ? planes<float>(spec, tile, first, count)
                             : planes<double>(spec, tile, first, count));
    groups.push_back({group.name, entries.back()});
  }
  std::vector<double> vector;
  for (Index p = 0; p < num_parameters && !spec.content.vector.empty(); ++p)
    vector.push_back(std::exp(static_cast<double>(p)) * std::cos(static_cast<double>(index)));
  TileResult result;
  result.tile = tile;
  result.data_type = spec.data_type;
  result.planes = groups;
  result.vector = vector;
  sink.write(result);
}

void run_to_end(const std::string& out, const RunSpec& spec, const RunOptions& options,
                Promise& promise) {
  constexpr Index kTilesPerCommit = 16;
  RunWriter writer(out, spec, options);
  const auto num_done = [&](Index delivered) {
    return writer.num_tiles() - static_cast<Index>(writer.tiles_to_do().size()) + delivered;
  };
  promise.damaged_tiles = writer.num_damaged();
  promise.committed_tiles = std::max(promise.committed_tiles, num_done(0));
  Index delivered = 0;
  for (const Index tile : writer.tiles_to_do()) {
    deliver(spec, tile, writer);
    if (++delivered % kTilesPerCommit != 0) continue;
    writer.commit();
    promise.committed_tiles = num_done(delivered);
  }
  writer.finish();
  promise.committed_tiles = writer.num_tiles();
  promise.finished = true;
}

std::vector<char> read_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void write_bytes(const std::string& path, const std::vector<char>& bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

std::vector<char> expected_bytes(const RunSpec& spec, std::optional<Shard> shard) {
  const TemporaryFolder folder;
  RunOptions options;
  options.shard = shard;
  Promise promise;
  run_to_end(folder.file("K.h5"), spec, options, promise);
  return read_bytes(folder.file("K.h5"));
}

Error error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error;
  }
  throw std::runtime_error("no error was thrown");
}

bool mentions(const Error& error, const std::string& text) {
  return std::string(error.what()).find(text) != std::string::npos;
}

void run(const std::string& out, const RunSpec& spec, const RunOptions& options) {
  Promise promise;
  run_to_end(out, spec, options, promise);
}

RunOptions with_mode(StartMode mode) {
  RunOptions options;
  options.mode = mode;
  return options;
}

RunOptions for_shard(Index index, Index count) {
  RunOptions options;
  options.shard = Shard{index, count};
  return options;
}

void interrupt_after(const std::string& out, const RunSpec& spec, Index count) {
  RunWriter writer(out, spec);
  for (Index tile = 0; tile < count; ++tile) deliver(spec, tile, writer);
  writer.interrupt();
}

void flip_byte(const std::string& path, std::size_t position) {
  std::vector<char> bytes = read_bytes(path);
  if (position >= bytes.size()) throw std::runtime_error("no such byte in " + path);
  bytes[position] = static_cast<char>(bytes[position] ^ 0x10);
  write_bytes(path, bytes);
}

std::vector<double> read_all(const hdf5::Dataset& dataset) {
  std::vector<Range> ranges;
  for (const Index extent : dataset.shape()) ranges.push_back({0, extent});
  std::vector<double> values(static_cast<std::size_t>(dataset.num_elements()));
  dataset.read(ranges, values);
  return values;
}

Index campaign_size(const char* variable, Index normal, Index when_long) {
  const char* const text = std::getenv(variable);
  if (text != nullptr) return static_cast<Index>(std::atoll(text));
  const char* const is_long = std::getenv("GRAMTILE_LONG");
  return is_long != nullptr && std::string(is_long) == "1" ? when_long : normal;
}

}  // namespace gramtile::test
