// Tolerances are what the engine promises (engine/network/promised_accuracy.hpp). The bound
// |K_ij| ≤ sqrt(K_ii·K_jj) compares three such numbers: twice the promise.
#include "apps/common/verify.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <utility>

#include "engine/core/errors.hpp"
#include "engine/network/promised_accuracy.hpp"
#include "io/network/network_json.hpp"

namespace gramtile::apps {
namespace {

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

const MatrixSpec& matrix_of(const TilePlan& plan, const Tile& tile) {
  return plan.matrices[static_cast<std::size_t>(tile.matrix)];
}

std::size_t num_entries(const Tile& tile) {
  return static_cast<std::size_t>(tile.rows.size() * tile.columns.size());
}

// A network that cannot be read is refused where it is needed.
PromisedAccuracy promise(const RunSpec& spec) {
  try {
    return promised_accuracy(read_network(spec.network, ""), spec.data_type);
  } catch (const NetworkError&) {
    return promised_accuracy(spec.data_type);
  }
}

// The first thing that went wrong with each check; a tile adds to it while the file is read.
class Checks {
 public:
  // The check takes place; `detail` is told if nothing fails.
  void begin(const std::string& check, const std::string& detail = {}) {
    Finding& finding = find(check);
    if (finding.passed) finding.detail = detail;
  }
  void fail(const std::string& check, bool damaged, const std::string& detail) {
    Finding& finding = find(check);
    if (!finding.passed) return;
    finding = {.check = check, .passed = false, .damaged = damaged, .detail = detail};
  }
  std::vector<Finding> take() { return std::move(findings_); }

 private:
  Finding& find(const std::string& check) {
    for (Finding& finding : findings_) {
      if (finding.check == check) return finding;
    }
    findings_.push_back({.check = check, .passed = true, .damaged = false, .detail = {}});
    return findings_.back();
  }

  std::vector<Finding> findings_;
};

// K(x, x) of every example of every set, as far as the file has it: by set and block, so that a
// share of a large matrix takes memory for its own blocks alone.
class Diagonals {
 public:
  explicit Diagonals(const RunReader& reader) : by_block_(reader.spec().sets.size()) {
    const RunSpec& spec = reader.spec();
    std::vector<double> values;
    for (const Index t : reader.tiles()) {
      const Tile tile = spec.plan.tiles[static_cast<std::size_t>(t)];
      const MatrixKind kind = matrix_of(spec.plan, tile).kind;
      const bool symmetric = kind == MatrixKind::kSymmetric && tile.on_diagonal();
      if (!symmetric && kind != MatrixKind::kDiagonal) continue;
      values.resize(num_entries(tile));
      reader.read_planes(kKernelPlane, t, values);
      const Index set = spec.axes[static_cast<std::size_t>(tile.matrix)].rows;
      std::vector<double>& block = by_block_[static_cast<std::size_t>(set)][tile.block_row];
      const Index step = symmetric ? tile.columns.size() + 1 : 1;
      block.clear();
      for (Index i = 0; i < tile.rows.size(); ++i)
        block.push_back(values[static_cast<std::size_t>(i * step)]);
    }
  }

  // Of the examples of one block; empty where unknown.
  std::span<const double> of(Index set, Index block) const {
    const auto& blocks = by_block_[static_cast<std::size_t>(set)];
    const auto found = blocks.find(block);
    return found == blocks.end() ? std::span<const double>() : std::span(found->second);
  }

 private:
  std::vector<std::map<Index, std::vector<double>>> by_block_;
};

double entry_or_unknown(std::span<const double> diagonal, Index i) {
  return diagonal.empty() ? kUnknown : diagonal[static_cast<std::size_t>(i)];
}

class FileCheck {
 public:
  explicit FileCheck(const RunReader& reader)
      : reader_(reader), spec_(reader.spec()), kernel_tolerance_(promise(spec_).kernel) {
    if (spec_.content.has(kKernelPlane)) diagonals_.emplace(reader);
  }

  std::vector<Finding> run(const std::function<void(const Tile&)>& on_tile) {
    check_metadata();
    check_complete();
    if (!spec_.mixture.empty()) checks_.begin("made with", describe(spec_.mixture));
    for (const Index t : reader_.tiles()) {
      const Tile tile = spec_.plan.tiles[static_cast<std::size_t>(t)];
      check_stored(tile);
      for (const PlaneGroup& group : spec_.content.planes) check_planes(tile, group);
      on_tile(tile);
    }
    if (!spec_.content.vector.empty()) check_sum();
    return checks_.take();
  }

 private:
  std::string place(const Tile& tile, Index row, Index column) const {
    const MatrixSpec& matrix = matrix_of(spec_.plan, tile);
    if (matrix.kind == MatrixKind::kDiagonal) {
      return fmt::format("{}[{}]", matrix.name, tile.rows.start + row);
    }
    return fmt::format("{}[{}, {}]", matrix.name, tile.rows.start + row,
                       tile.columns.start + column);
  }

  void check_metadata() {
    const MetadataCheck metadata = reader_.check_metadata();
    checks_.begin("metadata", metadata.note);
    if (!metadata.passed) checks_.fail("metadata", true, metadata.note);
  }

  void check_complete() {
    const std::size_t num_tiles = reader_.tiles().size();
    checks_.begin("complete", fmt::format("{} tiles", num_tiles));
    if (!reader_.complete()) {
      checks_.fail("complete", true, "the run is not finished; continue it with --resume");
    }
  }

  void check_stored(const Tile& tile) {
    checks_.begin("hashes");
    checks_.begin("symmetry");
    if (reader_.complete() && reader_.stored_hash(tile.index) != reader_.actual_hash(tile.index)) {
      checks_.fail("hashes", true, fmt::format("the tile at {} was changed", place(tile, 0, 0)));
    }
    if (!reader_.mirror_matches(tile.index)) {
      checks_.fail("symmetry", true,
                   fmt::format("the mirror image of the tile at {} differs", place(tile, 0, 0)));
    }
  }

  // Whatever a plane holds, it is finite; K is more than that.
  void check_planes(const Tile& tile, const PlaneGroup& group) {
    const auto num_parameters = static_cast<Index>(spec_.parameter_names.size());
    values_.resize(num_entries(tile) * static_cast<std::size_t>(group.num_planes(num_parameters)));
    reader_.read_planes(group.name, tile.index, values_);
    checks_.begin("finite");
    for (std::size_t at = 0; at < values_.size(); ++at) {
      if (std::isfinite(values_[at])) continue;
      const auto entry = static_cast<Index>(at % num_entries(tile));
      const std::string what =
          group.prefix + place(tile, entry / tile.columns.size(), entry % tile.columns.size());
      const std::string by =
          group.per_parameter ? " by " + spec_.parameter_names[at / num_entries(tile)] : "";
      checks_.fail("finite", false, fmt::format("{}{} is {}", what, by, values_[at]));
    }
    if (group.name == kKernelPlane) check_kernel(tile);
  }

  // K of a tile is in values_.
  void check_kernel(const Tile& tile) {
    const MatrixKind kind = matrix_of(spec_.plan, tile).kind;
    const MatrixAxes& axes = spec_.axes[static_cast<std::size_t>(tile.matrix)];
    const auto row_diagonal = diagonals_->of(axes.rows, tile.block_row);
    const auto column_diagonal =
        diagonals_->of(kind == MatrixKind::kCross ? axes.columns : axes.rows, tile.block_column);
    checks_.begin("diagonal");
    checks_.begin("bound");
    std::size_t at = 0;
    for (Index i = 0; i < tile.rows.size(); ++i) {
      const double kii = entry_or_unknown(row_diagonal, i);
      for (Index j = 0; j < tile.columns.size(); ++j) {
        const double value = values_[at++];
        if (!std::isfinite(value)) continue;
        if (kind == MatrixKind::kDiagonal) {
          check_variance(tile, i, value);
        } else {
          check_entry(tile, i, j, value, kii, entry_or_unknown(column_diagonal, j));
        }
      }
    }
  }

  void check_variance(const Tile& tile, Index row, double value) {
    if (value < 0) {
      checks_.fail("diagonal", false, fmt::format("{} is {}", place(tile, row, row), value));
    }
  }

  void check_entry(const Tile& tile, Index i, Index j, double value, double kii, double kjj) {
    const bool symmetric = matrix_of(spec_.plan, tile).kind == MatrixKind::kSymmetric;
    if (symmetric && tile.rows.start + i == tile.columns.start + j) check_variance(tile, i, value);
    const double bound = std::sqrt(kii) * std::sqrt(kjj);  // NaN where unknown: never exceeded
    if (std::abs(value) > bound * (1 + 2 * kernel_tolerance_)) {
      checks_.fail("bound", false,
                   fmt::format("{} is {:.9g}, more than sqrt(K_ii K_jj) = {:.9g}",
                               place(tile, i, j), value, bound));
    }
  }

  // A share holds contributions only: their sum is made when the shares are merged.
  void check_sum() {
    if (reader_.shard() || !reader_.complete()) return;
    std::vector<double> sum(spec_.parameter_names.size(), 0.0), part(sum.size());
    for (const Index t : reader_.tiles()) {
      reader_.read_tile_vector(t, part);
      for (std::size_t p = 0; p < sum.size(); ++p) sum[p] += part[p];
    }
    const std::string& name = spec_.content.vector;
    checks_.begin(name, fmt::format("{} parameters", sum.size()));
    const std::vector<double> stored = reader_.vector();
    for (std::size_t p = 0; p < sum.size(); ++p) {
      if (std::isfinite(sum[p]) && stored[p] == sum[p]) continue;
      checks_.fail(name, false,
                   fmt::format("{} is {}, but its tiles add up to {}", spec_.parameter_names[p],
                               stored[p], sum[p]));
    }
  }

  const RunReader& reader_;
  const RunSpec& spec_;
  double kernel_tolerance_;
  std::optional<Diagonals> diagonals_;
  std::vector<double> values_;
  Checks checks_;
};

}  // namespace

std::vector<Finding> check_file(const RunReader& reader,
                                const std::function<void(const Tile&)>& on_tile) {
  return FileCheck(reader).run(on_tile);
}

}  // namespace gramtile::apps
