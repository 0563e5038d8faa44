// The part of kernel-verify that recomputes entries by the reference.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "apps/common/verify.hpp"
#include "engine/reference/reference.hpp"

namespace gramtile::apps {
namespace {

// See verify.cpp for where the tolerances come from.
double kernel_tolerance(DataType type) { return type == DataType::kFloat32 ? 5e-6 : 1e-12; }

struct Entry {
  const Tile* tile = nullptr;
  Index row = 0, column = 0;  // within the tile
};

class SampleCheck {
 public:
  SampleCheck(const RunReader& reader, const Inputs& inputs)
      : reader_(reader), spec_(reader.spec()), inputs_(inputs) {}

  Finding kernel(Index num_samples) {
    Finding finding{.check = "samples", .passed = true, .damaged = false, .detail = {}};
    const double tolerance = kernel_tolerance(spec_.data_type);
    double largest = 0;
    Index num_checked = 0;
    std::string worst;
    std::mt19937_64 random(1);
    for (Index s = 0; s < num_samples; ++s) {
      const Entry entry = draw(random);
      if (!has_data(*entry.tile)) continue;
      const double difference = kernel_difference(entry);
      ++num_checked;
      if (!(difference <= largest)) {  // NaN counts as the largest
        largest = difference;
        worst = place(entry);
      }
    }
    finding.passed = largest <= tolerance;
    finding.detail =
        fmt::format("{} entries recomputed, largest difference {:.1e}{} (allowed {:.0e})",
                    num_checked, largest, worst.empty() ? "" : " at " + worst, tolerance);
    return finding;
  }

 private:
  const MatrixSpec& matrix_of(const Tile& tile) const {
    return spec_.plan.matrices[static_cast<std::size_t>(tile.matrix)];
  }

  Entry draw(std::mt19937_64& random) const {
    const auto below = [&](Index count) {
      return std::uniform_int_distribution<Index>(0, count - 1)(random);
    };
    const Index t =
        reader_
            .tiles()[static_cast<std::size_t>(below(static_cast<Index>(reader_.tiles().size())))];
    const Tile& tile = spec_.plan.tiles[static_cast<std::size_t>(t)];
    const Index row = below(tile.rows.size());
    return {.tile = &tile, .row = row, .column = below(tile.columns.size())};
  }

  Index row_set(const Tile& tile) const {
    return spec_.axes[static_cast<std::size_t>(tile.matrix)].rows;
  }
  Index column_set(const Tile& tile) const {
    return matrix_of(tile).kind == MatrixKind::kCross
               ? spec_.axes[static_cast<std::size_t>(tile.matrix)].columns
               : row_set(tile);
  }
  Dataset* data_of(Index set) const {
    const Index found = inputs_.find(spec_.sets[static_cast<std::size_t>(set)].name);
    return found < 0 ? nullptr : inputs_.sets[static_cast<std::size_t>(found)].data.get();
  }
  bool has_data(const Tile& tile) const {
    return data_of(row_set(tile)) != nullptr && data_of(column_set(tile)) != nullptr;
  }

  std::vector<double> image(Index set, Index example) const {
    Dataset& data = *data_of(set);
    std::vector<double> pixels(static_cast<std::size_t>(data.shape().num_values()));
    data.read({example, example + 1}, pixels);
    return pixels;
  }

  // |K − reference| / sqrt(K_ii·K_jj)
  double kernel_difference(const Entry& entry) {
    const Tile& tile = *entry.tile;
    const MatrixKind kind = matrix_of(tile).kind;
    const Index row = tile.rows.start + entry.row;
    const Index column = kind == MatrixKind::kDiagonal ? row : tile.columns.start + entry.column;
    const std::vector<double> x = image(row_set(tile), row);
    const std::vector<double> y = image(column_set(tile), column);
    const Program& program = inputs_.program;
    const double kxx = reference::kernel_diagonal(program, x);
    const double kyy = reference::kernel_diagonal(program, y);
    const bool on_diagonal = kind != MatrixKind::kCross && row == column;
    const double expected = on_diagonal ? kxx : reference::kernel(program, x, y);
    values_.resize(static_cast<std::size_t>(tile.rows.size() * tile.columns.size()));
    reader_.read_kernel(tile.index, values_);
    const double found =
        values_[static_cast<std::size_t>(entry.row * tile.columns.size() + entry.column)];
    const double scale = std::sqrt(kxx) * std::sqrt(kyy);
    return scale == 0 ? std::abs(found - expected) : std::abs(found - expected) / scale;
  }

  std::string place(const Entry& entry) const {
    const Tile& tile = *entry.tile;
    return fmt::format("{}[{}, {}]", matrix_of(tile).name, tile.rows.start + entry.row,
                       tile.columns.start + entry.column);
  }

  const RunReader& reader_;
  const RunSpec& spec_;
  const Inputs& inputs_;
  std::vector<double> values_;
};

}  // namespace

std::vector<Finding> check_samples(const RunReader& reader, const Inputs& inputs,
                                   Index num_samples) {
  if (!reader.spec().with_kernel) return {};
  return {SampleCheck(reader, inputs).kernel(num_samples)};
}

}  // namespace gramtile::apps
