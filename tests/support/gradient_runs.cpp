#include "tests/support/gradient_runs.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "engine/core/array_source.hpp"
#include "engine/core/array_upstream.hpp"
#include "engine/reference/reference.hpp"

namespace gramtile::test {
namespace {

ArrayResult derive(const Program& program, const MatrixImages& images, Derivative derivative,
                   MatrixSource* upstream, const LaneRun& run) {
  ArraySource rows = ArraySource::view(images.rows.shape, images.rows.pixels);
  std::optional<ArraySource> columns;
  if (!images.symmetric) {
    columns = ArraySource::view(images.columns.shape, images.columns.pixels);
  }
  return compute_arrays(program, rows, columns ? &*columns : nullptr,
                        {.data_type = run.type, .num_threads = run.num_threads}, derivative,
                        upstream, run.tile_size);
}

}  // namespace

std::vector<double> lane_jacobian(const Program& program, const MatrixImages& images,
                                  const LaneRun& run) {
  return derive(program, images, Derivative::kJacobian, nullptr, run).jacobian;
}

std::vector<double> lane_gradient(const Program& program, const MatrixImages& images,
                                  const std::vector<double>& upstream, const LaneRun& run) {
  ArrayUpstream source(upstream, images.num_rows(), images.num_columns());
  return derive(program, images, Derivative::kGradient, &source, run).gradient;
}

std::vector<double> reference_jacobian(const Program& program, const MatrixImages& images) {
  const std::size_t num_entries = images.num_entries();
  std::vector<double> jacobian(program.parameters.size() * num_entries);
  std::size_t entry = 0;
  for (Index i = 0; i < images.num_rows(); ++i) {
    for (Index j = 0; j < images.num_columns(); ++j, ++entry) {
      const auto of_pair =
          images.symmetric && i == j
              ? reference::kernel_diagonal_gradient(program, images.rows[i])
              : reference::kernel_gradient(program, images.rows[i], images.column(j));
      for (std::size_t p = 0; p < of_pair.gradient.size(); ++p) {
        jacobian[p * num_entries + entry] = of_pair.gradient[p];
      }
    }
  }
  return jacobian;
}

Contraction contract(const std::vector<double>& upstream, const std::vector<double>& jacobian) {
  Contraction result;
  for (std::size_t first = 0; first < jacobian.size(); first += upstream.size()) {
    double sum = 0, magnitude = 0;
    for (std::size_t i = 0; i < upstream.size(); ++i) {
      sum += upstream[i] * jacobian[first + i];
      magnitude += std::abs(upstream[i] * jacobian[first + i]);
    }
    result.sum.push_back(sum);
    result.magnitude.push_back(magnitude);
  }
  return result;
}

std::vector<double> random_numbers(std::uint64_t seed, std::size_t size) {
  Random random(seed);
  std::vector<double> numbers(size);
  std::ranges::generate(numbers, [&] { return random.normal(); });
  return numbers;
}

std::size_t parameter_index(const Program& program, const std::string& name) {
  const auto found = std::ranges::find(program.parameters, name, &Parameter::name);
  REQUIRE_MESSAGE(found != program.parameters.end(), "no parameter ", name);
  return static_cast<std::size_t>(found - program.parameters.begin());
}

}  // namespace gramtile::test
