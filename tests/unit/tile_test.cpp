// Tile plans and shards at sizes that can be checked by hand.
#include "engine/core/tile.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <utility>

namespace gramtile::tile_test {
namespace {

MatrixSpec symmetric(Index n) { return {"Kxx", MatrixKind::kSymmetric, n, n}; }
MatrixSpec cross(Index m, Index n) { return {"Kxtx", MatrixKind::kCross, m, n}; }
MatrixSpec diagonal(Index m) { return {"Kt_diag", MatrixKind::kDiagonal, m, 1}; }

std::vector<std::pair<Index, Index>> blocks(const TilePlan& plan) {
  std::vector<std::pair<Index, Index>> result;
  for (const Tile& tile : plan.tiles) result.push_back({tile.block_row, tile.block_column});
  return result;
}

// How often each entry of matrix 0 is computed, mirror images included.
std::map<std::pair<Index, Index>, int> coverage(const TilePlan& plan) {
  std::map<std::pair<Index, Index>, int> count;
  const bool mirrored = plan.matrices[0].kind == MatrixKind::kSymmetric;
  for (const Tile& tile : plan.tiles) {
    for (Index i = tile.rows.start; i < tile.rows.stop; ++i) {
      for (Index j = tile.columns.start; j < tile.columns.stop; ++j) {
        ++count[{i, j}];
        if (mirrored && !tile.on_diagonal()) ++count[{j, i}];
      }
    }
  }
  return count;
}

TEST_CASE("5 × 5 symmetric in tiles of 2: six tiles, row by row, the last of one example") {
  const TilePlan plan = plan_tiles({symmetric(5)}, 2);
  CHECK(blocks(plan) ==
        std::vector<std::pair<Index, Index>>{{0, 0}, {0, 1}, {0, 2}, {1, 1}, {1, 2}, {2, 2}});
  CHECK(plan.tiles[2].rows == Range{0, 2});
  CHECK(plan.tiles[2].columns == Range{4, 5});
  CHECK(plan.tiles[5].rows == Range{4, 5});
  const std::vector<Index> pairs{3, 4, 2, 3, 2, 1};
  for (std::size_t t = 0; t < pairs.size(); ++t) {
    CHECK(plan.tiles[t].index == static_cast<Index>(t));
    CHECK(plan.num_pairs(plan.tiles[t]) == pairs[t]);
  }
  CHECK(plan.num_pairs() == 15);  // 5·6/2
}

TEST_CASE("3 × 5 cross and a diagonal of 3 in tiles of 2: whole rows of tiles, one column") {
  const TilePlan plan = plan_tiles({cross(3, 5), diagonal(3)}, 2);
  CHECK(blocks(plan) == std::vector<std::pair<Index, Index>>{
                            {0, 0}, {0, 1}, {0, 2}, {1, 0}, {1, 1}, {1, 2}, {0, 0}, {1, 0}});
  CHECK(plan.num_pairs() == 15 + 3);
  CHECK(plan.tiles[5].matrix == 0);
  CHECK(plan.tiles[6].matrix == 1);
  CHECK(plan.tiles[6].columns == Range{0, 1});
  CHECK(plan.tiles[7].rows == Range{2, 3});
}

TEST_CASE("one example, and one less, as many and one more than a tile") {
  CHECK(plan_tiles({symmetric(1)}, 8).tiles.size() == 1);
  CHECK(plan_tiles({symmetric(1)}, 1).num_pairs() == 1);
  CHECK(plan_tiles({symmetric(7)}, 8).tiles[0].rows == Range{0, 7});
  CHECK(plan_tiles({symmetric(8)}, 8).tiles.size() == 1);
  const TilePlan more = plan_tiles({symmetric(9)}, 8);
  REQUIRE(more.tiles.size() == 3);
  CHECK(more.tiles[1].columns == Range{8, 9});
  CHECK(more.num_pairs() == 45);
}

TEST_CASE("tiles cover every entry exactly once, mirror images included") {
  for (const Index n : {1, 2, 7, 16, 17, 40}) {
    for (const Index tile_size : {1, 2, 3, 16, 64}) {
      CAPTURE(n);
      CAPTURE(tile_size);
      for (const MatrixSpec& spec : {symmetric(n), cross(n, 11), cross(5, n), diagonal(n)}) {
        const auto count = coverage(plan_tiles({spec}, tile_size));
        CHECK(static_cast<Index>(count.size()) == spec.num_rows * spec.num_columns);
        CHECK(std::all_of(count.begin(), count.end(),
                          [](const auto& entry) { return entry.second == 1; }));
      }
    }
  }
}

TEST_CASE("tiles are visited in panels of 8 × 8 blocks") {
  // 10 blocks: the panel of the first 8 blocks (36 tiles), then columns 8 and 9 of its rows, then
  // the corner.
  const TilePlan plan = plan_tiles({symmetric(10)}, 1);
  REQUIRE(plan.tiles.size() == 55);
  CHECK(blocks(plan)[35] == std::pair<Index, Index>{7, 7});
  CHECK(blocks(plan)[36] == std::pair<Index, Index>{0, 8});
  CHECK(blocks(plan)[37] == std::pair<Index, Index>{0, 9});
  CHECK(blocks(plan)[51] == std::pair<Index, Index>{7, 9});
  CHECK(blocks(plan)[52] == std::pair<Index, Index>{8, 8});
}

// The definition: panels of 8 × 8 blocks row by row, blocks row by row inside.
std::vector<std::pair<Index, Index>> blocks_by_walking(const MatrixSpec& spec, Index tile_size) {
  const Index rows = (spec.num_rows + tile_size - 1) / tile_size;
  const Index columns = (spec.num_columns + tile_size - 1) / tile_size;
  const bool symmetric = spec.kind == MatrixKind::kSymmetric;
  std::vector<std::pair<Index, Index>> result;
  for (Index i = 0; i < rows; i += 8) {
    for (Index j = symmetric ? i : 0; j < columns; j += 8) {
      for (Index r = i; r < std::min(i + 8, rows); ++r) {
        for (Index c = symmetric ? std::max(r, j) : j; c < std::min(j + 8, columns); ++c)
          result.push_back({r, c});
      }
    }
  }
  return result;
}

TEST_CASE("the formula of a plan gives the tiles and pairs that walking through it gives") {
  for (const Index n : {1, 7, 8, 9, 16, 17, 24, 25, 63, 64, 65, 100}) {
    for (const Index tile_size : {1, 2, 3, 8}) {
      const std::vector<MatrixSpec> matrices{symmetric(n), cross(13, n), cross(n, 20), diagonal(n)};
      const TilePlan plan = plan_tiles(matrices, tile_size);
      std::vector<std::pair<Index, Index>> expected;
      for (std::size_t m = 0; m < matrices.size(); ++m) {
        const auto of_matrix = blocks_by_walking(matrices[m], tile_size);
        const auto before = static_cast<Index>(expected.size());
        expected.insert(expected.end(), of_matrix.begin(), of_matrix.end());
        CHECK(plan.tiles.of_matrix(static_cast<Index>(m)) ==
              Range{before, static_cast<Index>(expected.size())});
      }
      CHECK(blocks(plan) == expected);
      Index pairs = 0, wrong = 0;
      for (const Tile& tile : plan.tiles) {
        wrong += plan.tiles.pairs_before(tile.index) == pairs ? 0 : 1;
        pairs += plan.num_pairs(tile);
      }
      CHECK(wrong == 0);
      CHECK(plan.num_pairs() == pairs);
    }
  }
}

TEST_CASE("a plan of 5e11 tiles takes no memory and finds its last tile") {
  const TilePlan plan = plan_tiles({symmetric(1'000'000)}, 1);
  REQUIRE(plan.tiles.size() == 500'000'500'000);
  const Tile last = plan.tiles[plan.tiles.size() - 1];
  CHECK(last.rows == Range{999'999, 1'000'000});
  CHECK(last.columns == last.rows);
  CHECK(plan.tiles.pairs_before(last.index) == 500'000'499'999);
  CHECK(shard_of(plan, 999, 1000).stop == 500'000'500'000);
}

TEST_CASE("shards follow one another, cover the plan and are balanced to a tile") {
  for (const Index n : {1, 9, 50, 170}) {
    const TilePlan plan = plan_tiles({symmetric(n), cross(20, n), diagonal(20)}, 8);
    Index largest = 0;
    for (const Tile& tile : plan.tiles) largest = std::max(largest, plan.num_pairs(tile));
    for (const Index num_shards : {1, 2, 3, 7, 100}) {
      CAPTURE(n);
      CAPTURE(num_shards);
      Index next = 0;
      for (Index shard = 0; shard < num_shards; ++shard) {
        const Range share = shard_of(plan, shard, num_shards);
        CHECK(share.start == next);
        CHECK(share.stop >= share.start);
        next = share.stop;
        Index pairs = 0;
        for (Index t = share.start; t < share.stop; ++t) {
          pairs += plan.num_pairs(plan.tiles[static_cast<std::size_t>(t)]);
        }
        // A tile belongs to the share that its first pair falls into.
        CHECK(pairs * num_shards <= plan.num_pairs() + largest * num_shards);
      }
      CHECK(next == static_cast<Index>(plan.tiles.size()));
    }
  }
}

TEST_CASE("two shards of 15 pairs: the tile that holds pair 8 starts in the first") {
  // First pairs of the tiles 0, 3, 7, 9, 12, 14; halves begin at 0 and 7.5.
  const TilePlan plan = plan_tiles({symmetric(5)}, 2);
  CHECK(shard_of(plan, 0, 2) == Range{0, 3});
  CHECK(shard_of(plan, 1, 2) == Range{3, 6});
}

}  // namespace
}  // namespace gramtile::tile_test
