// The campaign of random networks: K, jacobian and gradient of networks that nobody picked
// (tests/support/any_network.hpp) against the reference. Every value has to keep the bound that is
// derived for its network (rounding_bound.hpp, derivative_bound.hpp) and the accuracy that is
// promised (engine/network/promised_accuracy.hpp).
//
//   GRAMTILE_CAMPAIGN_NETWORKS  how many, in place of the short form
//   GRAMTILE_CAMPAIGN_SEED      of the first; the network after it has the next one. Of one alone,
//                               with GRAMTILE_CAMPAIGN_NETWORKS=1, to look at a failure again.
//   GRAMTILE_CAMPAIGN_FAILURES  a file to which every network that fails is added, a line of JSON
//   each
//
// tests/campaigns/random_networks.sh is the long form.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "engine/core/errors.hpp"
#include "engine/core/worst_of.hpp"
#include "engine/network/promised_accuracy.hpp"
#include "engine/reference/cosine_sensitivity.hpp"
#include "engine/reference/reference.hpp"
#include "engine/simd/instruction_set.hpp"
#include "io/network/network_json.hpp"
#include "tests/support/any_network.hpp"
#include "tests/support/gradient_runs.hpp"
#include "tests/support/matrix_bound.hpp"
#include "tests/support/rounding_bound.hpp"
#include "tests/support/short_form.hpp"

namespace gramtile::test::random_networks_test {
namespace {

constexpr Index kMostPrinted = 5;  // failures
constexpr double kClose = 10;      // errors below a tenth of a promise are not looked at closer

/// One network with images, and what the reference makes of them.
struct Trial {
  explicit Trial(std::uint64_t seed)
      : drawn(any_case(seed)), program(drawn.program()), engine_program(program) {
    Random random(seed ^ 0x5DEECE66DU);
    const auto draw = [&](Index count) {
      Images set{drawn.shape, {}};
      for (Index i = 0; i < count; ++i) set.append(random_image(random, drawn.shape));
      return set;
    };
    // Now and then more than a pack of columns, of few pixels: the reference takes its time.
    const bool many = drawn.shape.num_values() < 40 && random.chance(0.2);
    images = random.chance(0.3) ? MatrixImages::square(draw(2))
                                : MatrixImages::cross(draw(1), draw(many ? 18 : 3));
    if (random.chance(0.2)) make_nonnegative();
    tile_size = random.chance(0.5) ? 0 : 2;
    upstream = random_numbers(seed + 1, images.num_entries());
    jacobian = reference_jacobian(program, images);
    const auto diagonal = [&](std::span<const double> image) {
      return reference::kernel_diagonal(program, image);
    };
    for (Index i = 0; i < images.num_rows(); ++i) {
      for (Index j = 0; j < images.num_columns(); ++j) {
        const auto x = images.rows[i], y = images.column(j);
        const bool variance = images.symmetric && i == j;
        kernel.push_back(variance ? diagonal(x) : reference::kernel(program, x, y));
        scale.push_back(std::sqrt(diagonal(x)) * std::sqrt(diagonal(y)));
      }
    }
  }

  /// Images without a negative pixel, and the program that may assume so.
  void make_nonnegative() {
    for (Images* set : {&images.rows, &images.columns}) {
      for (double& pixel : set->pixels) pixel = std::abs(pixel);
    }
    assume_nonnegative_images(engine_program);
  }

  std::vector<double> lane_values(const LaneRun& run) const {
    return images.symmetric ? lane_kernel(engine_program, images.rows, run)
                            : lane_kernel(engine_program, images.rows, images.columns, run);
  }

  RandomCase drawn;
  Program program, engine_program;
  MatrixImages images;
  Index tile_size = 0;
  std::vector<double> upstream, kernel, scale, jacobian;
};

/// Beside smaller ones errors are not told: they may be as large as the numbers.
constexpr double kLeastScale = 0x1p-126;

/// What the errors of one quantity were like.
struct Errors {
  double largest = 0;        ///< relative to what its promise is relative to,
                             ///< where the images determine the value or not
  double part_of_bound = 0;  ///< the largest part of a derived bound
  Index num_values = 0, num_wrong = 0;

  /// `error` of a value that may be off by `bound`; `scale` is what its promise is relative to.
  void add(double error, double bound, double scale) {
    ++num_values;
    if (!(error <= bound)) ++num_wrong;
    if (error == 0) return;
    if (scale >= kLeastScale) largest = worst_of(largest, error / scale);
    part_of_bound = worst_of(part_of_bound, error / bound);
  }
};

struct Tally {
  DataType type = DataType::kFloat32;
  Index num_networks = 0, num_failed = 0, num_refused = 0;
  Errors kernel = {}, jacobian = {}, gradient = {};

  Index num_wrong() const { return kernel.num_wrong + jacobian.num_wrong + gradient.num_wrong; }
};

void compare_kernel(const Trial& trial, Tally& tally) {
  const auto values = trial.lane_values({tally.type, 1, trial.tile_size});
  const double promise = promised_accuracy(trial.drawn.network, tally.type).kernel;
  const auto width = static_cast<std::size_t>(trial.images.num_columns());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto x = trial.images.rows[static_cast<Index>(i / width)];
    const auto y = trial.images.column(static_cast<Index>(i % width));
    const double error = std::abs(values[i] - trial.kernel[i]);
    double promised = promise * trial.scale[i];
    if (error > promised / kClose) {
      promised +=
          reference::magnified_error(trial.program, x, y, promised_cosine_error(tally.type));
    }
    const double derived = kernel_bound(trial.program, tally.type, x, y) * trial.scale[i];
    tally.kernel.add(error, std::min(derived, promised), trial.scale[i]);
  }
}

/// What an entry of a jacobian may be off by: its derived bound and its promise, whichever is less.
/// The promise is relative to the parameter's largest entry, its terms taken absolutely (those of a
/// logit can cancel to nothing).
class JacobianBounds {
 public:
  JacobianBounds(const Trial& trial, DataType type)
      : trial_(trial),
        type_(type),
        derived_(matrix_bound(trial.program, trial.images, type)),
        promise_(promised_accuracy(trial.drawn.network, type)),
        sensitivities_(trial.images.num_entries()) {
    const std::size_t num_entries = trial.images.num_entries();
    for (std::size_t p = 0; p < trial.program.parameters.size(); ++p) {
      const auto first = derived_.magnitude.begin() + static_cast<std::ptrdiff_t>(p * num_entries);
      largest_.push_back(
          worst_of(std::vector(first, first + static_cast<std::ptrdiff_t>(num_entries))));
    }
    include_variances();
  }

  double largest(std::size_t p) const { return largest_[p]; }

  /// For an entry that is off by `error`: the sensitivity takes its time, so only where that
  /// counts.
  double of(std::size_t p, std::size_t entry, double error) {
    const double derived =
        derived_.error[p * sensitivities_.size() + entry] + smallest_normal(type_);
    const double promised = promise_.jacobian * largest_[p] + smallest_normal(type_);
    if (error <= promised / kClose) return std::min(derived, promised);
    return std::min(derived, promised + sensitivity(p, entry));
  }

  /// For the gradient's entry, which is off by `error`: the sum of its jacobian's promises.
  double of_gradient(std::size_t p, double error) {
    double sum_of_upstream = 0;
    for (const double u : trial_.upstream) sum_of_upstream += std::abs(u);
    const double derived = gradient_bounds(trial_.upstream, derived_, type_)[p] +
                           smallest_normal(type_) * sum_of_upstream;
    double promised = (promise_.gradient * largest_[p] + smallest_normal(type_)) * sum_of_upstream;
    if (error <= promised / kClose) return std::min(derived, promised);
    for (std::size_t i = 0; i < trial_.upstream.size(); ++i) {
      promised += std::abs(trial_.upstream[i]) * sensitivity(p, i);
    }
    return std::min(derived, promised);
  }

 private:
  /// √(∂K_ii/∂θ · ∂K_jj/∂θ), too: where all pairs happen to be opposite, ∂K_ij/∂θ is 0.
  void include_variances() {
    const auto largest_of = [&](const Images& images) {
      std::vector<double> result(largest_.size(), 0.0);
      for (Index i = 0; i < images.size(); ++i) {
        const auto gradient =
            reference::kernel_diagonal_gradient(trial_.program, images[i]).gradient;
        for (std::size_t p = 0; p < result.size(); ++p) {
          result[p] = worst_of(result[p], std::abs(gradient[p]));
        }
      }
      return result;
    };
    const auto rows = largest_of(trial_.images.rows);
    const auto columns = trial_.images.symmetric ? rows : largest_of(trial_.images.columns);
    for (std::size_t p = 0; p < largest_.size(); ++p) {
      largest_[p] = worst_of(largest_[p], std::sqrt(rows[p]) * std::sqrt(columns[p]));
    }
  }

  double sensitivity(std::size_t p, std::size_t entry) {
    const auto width = static_cast<std::size_t>(trial_.images.num_columns());
    const auto i = static_cast<Index>(entry / width), j = static_cast<Index>(entry % width);
    if (trial_.images.symmetric && i == j) return 0;
    std::vector<double>& found = sensitivities_[entry];
    if (found.empty()) {
      found = reference::cosine_sensitivity(trial_.program, trial_.images.rows[i],
                                            trial_.images.column(j), promised_cosine_error(type_));
    }
    return found[p];
  }

  const Trial& trial_;
  DataType type_;
  DerivativeBound derived_;
  PromisedAccuracy promise_;
  std::vector<double> largest_;                     // [P]
  std::vector<std::vector<double>> sensitivities_;  // [N·M], each empty or [P]
};

void compare_derivatives(const Trial& trial, Tally& tally) {
  const LaneRun run{tally.type, 1, trial.tile_size};
  const std::size_t num_entries = trial.images.num_entries();
  const auto jacobian = lane_jacobian(trial.engine_program, trial.images, run);
  const auto gradient = lane_gradient(trial.engine_program, trial.images, trial.upstream, run);
  const Contraction expected = contract(trial.upstream, trial.jacobian);
  JacobianBounds bounds(trial, tally.type);
  double sum_of_upstream = 0;
  for (const double value : trial.upstream) sum_of_upstream += std::abs(value);
  for (std::size_t p = 0; p < gradient.size(); ++p) {
    for (std::size_t i = 0; i < num_entries; ++i) {
      const double error =
          std::abs(jacobian[p * num_entries + i] - trial.jacobian[p * num_entries + i]);
      tally.jacobian.add(error, bounds.of(p, i, error), bounds.largest(p));
    }
    const double error = std::abs(gradient[p] - expected.sum[p]);
    tally.gradient.add(error, bounds.of_gradient(p, error), bounds.largest(p) * sum_of_upstream);
  }
}

std::string description(const Errors& errors) {
  return fmt::format(R"({{"wrong": {}, "error": {:.2g}, "of_bound": {:.2g}}})", errors.num_wrong,
                     errors.largest, errors.part_of_bound);
}

void report_failure(std::uint64_t seed, const Trial& trial, const Tally& now, Index num_before) {
  const ImageShape& shape = trial.drawn.shape;
  const std::string line = fmt::format(
      R"({{"seed": {}, "target": "{}", "dtype": "{}", "K": {}, "dK": {}, "gradient": {}, )"
      R"("shape": [{}, {}, {}], "network": {}}})",
      seed, instruction_set(), name_of(now.type), description(now.kernel),
      description(now.jacobian), description(now.gradient), shape.channels, shape.height,
      shape.width, to_json(trial.drawn.network));
  if (num_before < kMostPrinted) std::printf("WRONG: %s\n", line.c_str());
  if (const char* path = std::getenv("GRAMTILE_CAMPAIGN_FAILURES"); path != nullptr) {
    if (std::FILE* file = std::fopen(path, "a"); file != nullptr) {
      std::fprintf(file, "%s\n", line.c_str());
      std::fclose(file);
    }
  }
}

/// `before` with the errors of one more network, compared on their own first.
void add_network(std::uint64_t seed, const Trial& trial, Tally& tally) {
  Tally one{.type = tally.type};
  try {
    compare_kernel(trial, one);
    compare_derivatives(trial, one);
  } catch (const Error& error) {
    // Images whose variances float32 cannot hold: rare, and what is advised has to work.
    const bool advised =
        std::string_view(error.what()).find("--dtype float64") != std::string::npos;
    if (tally.type == DataType::kFloat64 || !advised) throw;
    ++tally.num_refused;
    return;
  }
  const auto add = [](Errors& to, const Errors& from) {
    to.largest = worst_of(to.largest, from.largest);
    to.part_of_bound = worst_of(to.part_of_bound, from.part_of_bound);
    to.num_values += from.num_values;
    to.num_wrong += from.num_wrong;
  };
  add(tally.kernel, one.kernel);
  add(tally.jacobian, one.jacobian);
  add(tally.gradient, one.gradient);
  ++tally.num_networks;
  if (one.num_wrong() == 0) return;
  report_failure(seed, trial, one, tally.num_failed++);
}

void print(const Tally& tally) {
  std::printf("%s %s: %td networks, %td wrong, %td refused\n",
              std::string(instruction_set()).c_str(), std::string(name_of(tally.type)).c_str(),
              tally.num_networks, tally.num_failed, tally.num_refused);
  for (const auto& [name, errors] : {std::pair{"K", &tally.kernel},
                                     {"jacobian", &tally.jacobian},
                                     {"gradient", &tally.gradient}}) {
    std::printf("  %-8s %9td values, largest error %.1e, at most %.2f of its bound\n", name,
                errors->num_values, errors->largest, errors->part_of_bound);
  }
}

void run_campaign(std::uint64_t first_seed, std::uint64_t num_networks) {
  std::printf(
      "random networks from seed %llu on: GRAMTILE_CAMPAIGN_SEED=%llu "
      "GRAMTILE_CAMPAIGN_NETWORKS=%llu runs them again\n",
      static_cast<unsigned long long>(first_seed), static_cast<unsigned long long>(first_seed),
      static_cast<unsigned long long>(num_networks));
  Tally tallies[] = {{.type = DataType::kFloat32}, {.type = DataType::kFloat64}};
  for (std::uint64_t seed = first_seed; seed < first_seed + num_networks; ++seed) {
    const Trial trial(seed);
    for (Tally& tally : tallies) add_network(seed, trial, tally);
  }
  for (const Tally& tally : tallies) {
    print(tally);
    CHECK(tally.num_failed == 0);
    CHECK(tally.num_refused <= 1 + tally.num_networks / 100);
    CHECK(tally.kernel.num_values > 0);
  }
  std::fflush(stdout);
}

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

/// Fewer where one pair is computed at a time, and in the short form.
std::uint64_t num_networks(Index count) {
  count = many_or_few(count, count / 8);
  return static_cast<std::uint64_t>(instruction_set() == "SCALAR" ? count / 4 : count);
}

}  // namespace

TEST_CASE("random networks that nobody picked agree with the reference: the same every time") {
  run_campaign(number_from("GRAMTILE_CAMPAIGN_SEED", 1),
               number_from("GRAMTILE_CAMPAIGN_NETWORKS", num_networks(1200)));
}

TEST_CASE("random networks that nobody picked agree with the reference: others every time") {
  if (std::getenv("GRAMTILE_CAMPAIGN_NETWORKS") != nullptr)
    return;  // then those that were asked for
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto seed = std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
  run_campaign(static_cast<std::uint64_t>(seed), num_networks(600));
}

}  // namespace gramtile::test::random_networks_test
