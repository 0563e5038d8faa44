// The part of kernel-verify that recomputes entries by the reference.
#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "apps/common/verify.hpp"
#include "engine/core/worst_of.hpp"
#include "engine/network/promised_accuracy.hpp"
#include "engine/reference/cosine_sensitivity.hpp"
#include "engine/reference/reference.hpp"

namespace gramtile::apps {
namespace {

// The largest of some differences, and where it was first.
struct Worst {
  double difference = 0;
  Index num_checked = 0;
  std::string place;

  void add(double found, const std::string& where) {
    ++num_checked;
    if (found <= difference || std::isnan(difference)) return;
    difference = found;  // NaN too, and for good
    place = where;
  }

  Finding finding(const std::string& check, double tolerance) const {
    Finding result;
    result.check = check;
    result.passed = difference <= tolerance;
    result.detail =
        fmt::format("{} entries recomputed, largest difference {:.1e}{}{} (allowed {:.0e})",
                    num_checked, difference, place.empty() ? "" : " at ", place, tolerance);
    return result;
  }
};

// `difference` / `scale`; itself where the scale is 0, NaN where that is not finite: nothing is
// small beside infinity.
double relative(double difference, double scale) {
  if (scale == 0) return difference;
  return std::isfinite(scale) ? difference / scale : std::numeric_limits<double>::quiet_NaN();
}

struct Entry {
  Tile tile;
  Index row = 0, column = 0;  // within the tile
};

class SampleCheck {
 public:
  SampleCheck(const RunReader& reader, const Inputs& inputs)
      : reader_(reader),
        spec_(reader.spec()),
        inputs_(inputs),
        promise_(promised_accuracy(inputs.network, spec_.data_type)) {}

  std::vector<Finding> run(Index num_samples) {
    const bool kernel = spec_.content.has(kKernelPlane);
    const bool jacobian = spec_.content.has(kJacobianPlane);
    Worst kernel_worst, jacobian_worst;
    std::mt19937_64 random(1);
    for (Index s = 0; s < num_samples; ++s) {
      const Entry entry = draw(random);
      if (!has_data(entry.tile)) continue;
      if (kernel) kernel_worst.add(kernel_difference(entry), place(entry));
      if (jacobian) jacobian_worst.add(jacobian_difference(entry), "d" + place(entry));
    }
    std::vector<Finding> findings;
    if (kernel) {
      findings.push_back(kernel_worst.finding("samples", promise_.kernel));
    }
    if (jacobian) {
      findings.push_back(jacobian_worst.finding("jacobian", promise_.jacobian));
    }
    return findings;
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
    const Tile tile = spec_.plan.tiles[static_cast<std::size_t>(t)];
    const Index row = below(tile.rows.size());
    return {.tile = tile, .row = row, .column = below(tile.columns.size())};
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

  // The two images of an entry.
  struct Images {
    std::vector<double> x, y;
    bool on_diagonal = false;
  };

  Images images_of(const Entry& entry) const {
    const Tile& tile = entry.tile;
    const MatrixKind kind = matrix_of(tile).kind;
    const Index row = tile.rows.start + entry.row;
    const Index column = kind == MatrixKind::kDiagonal ? row : tile.columns.start + entry.column;
    return {.x = image(row_set(tile), row),
            .y = image(column_set(tile), column),
            .on_diagonal = kind != MatrixKind::kCross && row == column};
  }

  std::size_t position(const Entry& entry) const {
    return static_cast<std::size_t>(entry.row * entry.tile.columns.size() + entry.column);
  }

  // |K − reference| / sqrt(K_ii·K_jj). What activations may make of errors is asked for only where
  // it is needed, and then counted with the scale.
  double kernel_difference(const Entry& entry) {
    const Images images = images_of(entry);
    const Program& program = inputs_.program;
    const double kxx = reference::kernel_diagonal(program, images.x);
    const double kyy = reference::kernel_diagonal(program, images.y);
    const double expected =
        images.on_diagonal ? kxx : reference::kernel(program, images.x, images.y);
    values_.resize(static_cast<std::size_t>(entry.tile.rows.size() * entry.tile.columns.size()));
    reader_.read_planes(kKernelPlane, entry.tile.index, values_);
    const double scale = std::sqrt(kxx) * std::sqrt(kyy);
    const double difference = std::abs(values_[position(entry)] - expected);
    const double error = relative(difference, scale);
    if (error <= promise_.kernel || images.on_diagonal) return error;
    const double magnified = reference::magnified_error(program, images.x, images.y,
                                                        promised_cosine_error(spec_.data_type));
    return relative(difference, scale + magnified / promise_.kernel);
  }

  // max over θ of |∂K/∂θ − reference| / (largest |∂K/∂θ| of the entry's tile). What the promise
  // leaves to badly determined derivatives is asked for only where it is needed, and then counted
  // with the scale: it takes a run of the recursion for every parameter.
  double jacobian_difference(const Entry& entry) {
    const Images images = images_of(entry);
    const reference::PairGradient expected =
        images.on_diagonal ? reference::kernel_diagonal_gradient(inputs_.program, images.x)
                           : reference::kernel_gradient(inputs_.program, images.x, images.y);
    const auto area = static_cast<std::size_t>(entry.tile.rows.size() * entry.tile.columns.size());
    values_.resize(area * expected.gradient.size());
    reader_.read_planes(kJacobianPlane, entry.tile.index, values_);
    std::vector<double> sensitivities;
    std::vector<std::vector<double>> variance_gradients;  // of x and of y
    double largest = 0;
    for (std::size_t p = 0; p < expected.gradient.size(); ++p) {
      const std::span<const double> tile(values_.data() + p * area, area);
      double scale = 0;
      for (const double value : tile) scale = worst_of(scale, std::abs(value));
      const double difference = std::abs(tile[position(entry)] - expected.gradient[p]);
      double error = relative(difference, scale);
      if (error > promise_.jacobian && !images.on_diagonal) {
        if (sensitivities.empty()) {
          for (const auto* image : {&images.x, &images.y}) {
            variance_gradients.push_back(
                reference::kernel_diagonal_gradient(inputs_.program, *image).gradient);
          }
          sensitivities = reference::cosine_sensitivity(inputs_.program, images.x, images.y,
                                                        promised_cosine_error(spec_.data_type));
        }
        // Where all pairs of a tile happen to be opposite images, ∂K/∂θ is 0 there.
        const double variances = std::sqrt(std::abs(variance_gradients[0][p])) *
                                 std::sqrt(std::abs(variance_gradients[1][p]));
        error =
            relative(difference, worst_of(scale, variances) + sensitivities[p] / promise_.jacobian);
      }
      largest = worst_of(largest, error);
    }
    return largest;
  }

  std::string place(const Entry& entry) const {
    const Tile& tile = entry.tile;
    return fmt::format("{}[{}, {}]", matrix_of(tile).name, tile.rows.start + entry.row,
                       tile.columns.start + entry.column);
  }

  const RunReader& reader_;
  const RunSpec& spec_;
  const Inputs& inputs_;
  PromisedAccuracy promise_;
  std::vector<double> values_;
};

}  // namespace

std::vector<Finding> check_samples(const RunReader& reader, const Inputs& inputs,
                                   Index num_samples) {
  return SampleCheck(reader, inputs).run(num_samples);
}

}  // namespace gramtile::apps
