// Tiles that are kept and read again, in memory and in a run's file: what holds of one store holds
// of the other.
#include "engine/core/tile_store.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>

#include "docs/examples/ports.cpp"
#include "engine/core/array_source.hpp"
#include "engine/core/array_upstream.hpp"
#include "engine/core/errors.hpp"
#include "engine/core/worst_of.hpp"
#include "engine/network/promised_accuracy.hpp"
#include "engine/schedule/compute_arrays.hpp"
#include "io/run/read/run_reader.hpp"
#include "io/run/write/run_writer.hpp"
#include "tests/support/lane_runs.hpp"
#include "tests/support/run_fixture.hpp"

namespace gramtile::tile_store_test {
namespace {

using namespace test;

/// A tile, kept by its bytes.
struct Copy {
  Index index = -1;
  DataType type = DataType::kFloat64;
  std::map<std::string, std::vector<std::byte>> planes;
  std::vector<double> vector;
  bool operator==(const Copy&) const = default;
};

Copy copy_of(const TileResult& result) {
  Copy copy{.index = result.tile.index, .type = result.data_type, .planes = {}, .vector = {}};
  for (const TilePlane& plane : result.planes)
    copy.planes[std::string(plane.name)].assign(plane.entries.begin(), plane.entries.end());
  copy.vector.assign(result.vector.begin(), result.vector.end());
  return copy;
}

Copy copy_of(TileStore& store, Index tile) {
  Copy copy;
  store.read(tile, [&](const TileResult& result) { copy = copy_of(result); });
  return copy;
}

/// What deliver() delivers.
Copy delivered(const RunSpec& spec, Index tile) {
  struct Sink : TileSink {
    void write(const TileResult& result) override { copy = copy_of(result); }
    Copy copy;
  } sink;
  deliver(spec, tile, sink);
  return sink.copy;
}

/// Both stores of the same run.
struct Stores {
  explicit Stores(const RunSpec& spec)
      : writer(folder.file("K.h5"), spec), memory(spec.plan, spec.content) {}
  TemporaryFolder folder;
  RunWriter writer;
  MemoryTileStore memory;
  std::vector<TileStore*> both{&writer, &memory};
};

TEST_CASE("a store gives back every tile as it was written, at any time") {
  for (const RunSpec& spec : {made_up_spec(), gradient_spec(), jacobian_spec()}) {
    Stores stores(spec);
    const auto num_tiles = static_cast<Index>(spec.plan.tiles.size());
    for (TileStore* store : stores.both) {
      for (Index t = 0; t < num_tiles; ++t) {
        CHECK_FALSE(store->has(t));
        deliver(spec, t, *store);
        CHECK(store->has(t));
        CHECK(copy_of(*store, t / 2) == delivered(spec, t / 2));
      }
      for (Index t = num_tiles; t-- > 0;) CHECK(copy_of(*store, t) == delivered(spec, t));
    }
  }
}

/// Every number of a tile, doubled.
void write_doubled(const RunSpec& spec, Index tile, TileStore& store) {
  struct Doubling : TileSink {
    explicit Doubling(TileStore& to) : store(to) {}
    void write(const TileResult& result) override {
      std::vector<std::vector<float>> numbers;
      std::vector<TilePlane> planes;
      for (const TilePlane& plane : result.planes) {
        const auto* const first = reinterpret_cast<const float*>(plane.entries.data());
        numbers.emplace_back(first, first + plane.entries.size() / sizeof(float));
        for (float& number : numbers.back()) number *= 2;
        planes.push_back({plane.name, std::as_bytes(std::span(numbers.back()))});
      }
      TileResult doubled = result;
      doubled.planes = planes;
      store.write(doubled);
    }
    TileStore& store;
  } sink(store);
  deliver(spec, tile, sink);
}

float first_entry(const Copy& copy, const std::string& plane) {
  return *reinterpret_cast<const float*>(copy.planes.at(plane).data());
}

TEST_CASE("a tile that is written again takes the place of the first, in the finished file too") {
  const RunSpec spec = made_up_spec();
  Stores stores(spec);
  const auto once = static_cast<float>(fake_entry(spec, 0, 0, 0, 8));  // of tile 1
  for (TileStore* store : stores.both) {
    for (Index t = 0; t < static_cast<Index>(spec.plan.tiles.size()); ++t) deliver(spec, t, *store);
    CHECK(first_entry(copy_of(*store, 1), "kernel") == once);
    write_doubled(spec, 1, *store);
    CHECK(first_entry(copy_of(*store, 1), "kernel") == 2 * once);
    CHECK(copy_of(*store, 2) == delivered(spec, 2));
  }
  stores.writer.finish();
  const RunReader reader(stores.folder.file("K.h5"));
  CHECK(reader.stored_hash(1) == reader.actual_hash(1));
  CHECK(reader.mirror_matches(1));
  std::vector<double> entry(2);
  reader.read_entries(0, {0, 1}, {8, 9}, std::span(entry).first(1));
  reader.read_entries(0, {8, 9}, {0, 1}, std::span(entry).last(1));
  CHECK(entry == std::vector<double>(2, static_cast<double>(2 * once)));
}

TEST_CASE("a tile written again and not committed is computed anew after a kill, never half kept") {
  const RunSpec spec = made_up_spec();
  const TemporaryFolder folder;
  {
    RunWriter writer(folder.file("K.h5"), spec);
    for (Index t = 0; t < 3; ++t) deliver(spec, t, writer);
    writer.commit();
    write_doubled(spec, 1, writer);
    CHECK(first_entry(copy_of(writer, 1), "kernel") ==
          2 * static_cast<float>(fake_entry(spec, 0, 0, 0, 8)));  // read commits
  }
  run(folder.file("K.h5"), spec, with_mode(StartMode::kResume));
  const RunReader reader(folder.file("K.h5"));
  for (const Index t : reader.tiles()) CHECK(reader.stored_hash(t) == reader.actual_hash(t));
}

TEST_CASE("a resumed run, and a finished one, have the tiles of earlier starts") {
  const RunSpec spec = made_up_spec();
  const TemporaryFolder folder;
  interrupt_after(folder.file("K.h5"), spec, 5);
  {
    RunWriter writer(folder.file("K.h5"), spec, with_mode(StartMode::kResume));
    for (Index t = 0; t < 14; ++t) CHECK(writer.has(t) == (t < 5));
    CHECK(copy_of(writer, 4) == delivered(spec, 4));
    for (Index t = 5; t < 14; ++t) deliver(spec, t, writer);
    writer.finish();
  }
  RunWriter writer(folder.file("K.h5"), spec, with_mode(StartMode::kResume));
  CHECK(writer.already_finished());
  CHECK(writer.has(13));
  CHECK(copy_of(writer, 13) == delivered(spec, 13));
}

TEST_CASE("entries of a stored matrix are those of its tiles, on both sides of the diagonal") {
  const RunSpec spec = made_up_spec();
  Stores stores(spec);
  Random random(1);
  for (TileStore* store : stores.both) {
    for (Index t = 0; t < static_cast<Index>(spec.plan.tiles.size()); ++t) deliver(spec, t, *store);
    for (Index matrix = 0; matrix < 3; ++matrix) {
      for (const PlaneGroup& group : spec.content.planes) {
        for (Index member = 0; member < group.num_planes(2); ++member) {
          const StoredMatrix stored(*store, matrix, group.name, member);
          REQUIRE(stored.num_rows() == (matrix == 0 ? 21 : 13));
          REQUIRE(stored.num_columns() == (matrix == 2 ? 1 : 21));
          const Index top = random.integer(0, stored.num_rows() - 1);
          const Index left = random.integer(0, stored.num_columns() - 1);
          const Range rows{top, random.integer(top + 1, stored.num_rows())};
          const Range columns{left, random.integer(left + 1, stored.num_columns())};
          std::vector<double> values(static_cast<std::size_t>(rows.size() * columns.size()));
          stored.read(rows, columns, values);
          Index wrong = 0;
          std::size_t at = 0;
          for (Index i = rows.start; i < rows.stop; ++i) {
            for (Index j = columns.start; j < columns.stop; ++j) {
              const double entry =
                  fake_entry(spec, matrix, fake_plane(spec, group.name) + member, i, j);
              wrong += values[at++] != static_cast<double>(static_cast<float>(entry));
            }
          }
          CHECK(wrong == 0);
        }
      }
    }
  }
}

TEST_CASE("what a store does not have is refused") {
  const RunSpec spec = made_up_spec();
  MemoryTileStore store(spec.plan, spec.content);
  CHECK(mentions(error_of([&] { StoredMatrix(store, 0, "jacobian"); }), "no planes jacobian"));
  CHECK(mentions(error_of([&] { StoredMatrix(store, 0, "spin", 1); }), "no planes spin"));
  deliver(spec, 0, store);
  const StoredMatrix matrix(store, 0, "kernel");
  std::vector<double> value(1);
  matrix.read({7, 8}, {7, 8}, value);
  CHECK(mentions(error_of([&] { matrix.read({7, 8}, {8, 9}, value); }), "tile 1 of Kxx"));
  TileResult empty;
  empty.tile = spec.plan.tiles[1];
  CHECK(mentions(error_of([&] { store.write(empty); }), "without its planes spin"));
}

constexpr const char* kNetwork = R"({"layers": [
  {"type": "conv2d", "kernel_size": 3, "var_weight": 1.5, "var_bias": 0.1}, {"type": "relu"},
  {"type": "conv2d", "kernel_size": 4, "padding": 0}]})";

TEST_CASE("an upstream of another shape than the matrix is refused") {
  const Program program = program_of(kNetwork, {.channels = 1, .height = 4, .width = 4});
  Ramp images(program.input, 5);
  OuterProduct upstream(std::vector<double>(6, 1.0));
  const Error error = error_of([&] { kernel_gradient(program, images, nullptr, upstream); });
  CHECK(error.kind() == ErrorKind::kUsage);
  CHECK(mentions(error, "[6, 6]"));
}

// The example's gradient of L = ½ Σ K², and that of L = uᵀ K u, against K and its jacobian as whole
// arrays. Either side is off by what is promised of ∂K/∂θ, of its largest entry, times Σ |∂L/∂K|;
// the roundings of the sums are far below that.
TEST_CASE("the ports' example gives the gradients that whole arrays give") {
  const Program program = program_of(kNetwork, {.channels = 1, .height = 4, .width = 4});
  const Index n = 37;
  Ramp images(program.input, n);
  const ComputeOptions options{.data_type = DataType::kFloat64, .num_threads = 2};
  std::vector<double> u(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < u.size(); ++i) u[i] = std::sin(static_cast<double>(i));
  OuterProduct outer(u);
  const std::vector<double> squares = gradient_of_squares(program, images, options);
  const std::vector<double> form =
      kernel_gradient(program, images, nullptr, outer, options).gradient;
  const ArrayResult all = compute_arrays(program, images, nullptr, options, Derivative::kJacobian);
  const std::size_t entries = all.kernel.size();
  const double promise = promised_accuracy(DataType::kFloat64).jacobian;
  for (std::size_t p = 0; p < program.parameters.size(); ++p) {
    double sum = 0, weights = 0, form_sum = 0, form_weights = 0, largest = 0;
    for (std::size_t e = 0; e < entries; ++e) {
      const double slope = all.jacobian[p * entries + e];
      const double weight = u[e / u.size()] * u[e % u.size()];
      sum += all.kernel[e] * slope;
      weights += std::abs(all.kernel[e]);
      form_sum += weight * slope;
      form_weights += std::abs(weight);
      largest = worst_of(largest, std::abs(slope));
    }
    CHECK(std::abs(squares[p] - sum) <= 2 * promise * weights * largest);
    CHECK(std::abs(form[p] - form_sum) <= 2 * promise * form_weights * largest);
  }
}

TEST_CASE("docs/library.md quotes the ports' example to the letter") {
  const auto contents = [](const std::string& path) {
    std::ifstream file(std::string(GRAMTILE_TESTS_DIR) + "/../" + path);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  };
  const std::string code = contents("docs/examples/ports.cpp");
  REQUIRE(!code.empty());
  CHECK(contents("docs/library.md").find("```cpp\n" + code + "```\n") != std::string::npos);
}

}  // namespace
}  // namespace gramtile::tile_store_test
