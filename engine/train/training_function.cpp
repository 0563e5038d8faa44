#include "engine/train/training_function.hpp"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <utility>

#include "engine/core/errors.hpp"
#include "engine/core/tile_content.hpp"
#include "engine/network/parameter_values.hpp"
#include "engine/schedule/compute_arrays.hpp"

namespace gramtile {
namespace {

class StopWatch {
 public:
  /// Seconds since the last lap.
  double lap() {
    const auto now = std::chrono::steady_clock::now();
    return std::chrono::duration<double>(now - std::exchange(start_, now)).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// Kernel tiles, as double, into a store.
class StoreSink final : public TileSink {
 public:
  explicit StoreSink(SymmetricStore& store) : store_(store) {}

  void write(const TileResult& tile) override {
    const auto count = static_cast<std::size_t>(tile.tile.rows.size() * tile.tile.columns.size());
    const std::byte* const entries = tile.plane(kKernelPlane).data();
    values_.resize(count);
    if (tile.data_type == DataType::kFloat64) {
      std::memcpy(values_.data(), entries, count * sizeof(double));
    } else {
      for (std::size_t i = 0; i < count; ++i) {
        float value;
        std::memcpy(&value, entries + i * sizeof(float), sizeof(float));
        values_[i] = value;
      }
    }
    store_.write(tile.tile.rows, tile.tile.columns, values_);
  }

 private:
  SymmetricStore& store_;
  std::vector<double> values_;
};

/// Tells `watch` of tiles as they come; of `num_images` images' symmetric matrix.
std::function<void(const Tile&)> counting(const TrainingWatch& watch, TrainingPart part,
                                          Index num_images) {
  if (!watch) return {};
  const double total = 0.5 * static_cast<double>(num_images) * static_cast<double>(num_images + 1);
  watch(part, 0);
  return [&watch, part, total, done = 0.0](const Tile& tile) mutable {
    done += static_cast<double>(num_pairs(MatrixKind::kSymmetric, tile));
    watch(part, done / total);
  };
}

void check_stop(std::stop_token stop) {
  if (stop.stop_requested()) throw Error(ErrorKind::kInterrupted, "stopped");
}

}  // namespace

void store_kernel(const Program& program, BlockSource& images, const ComputeOptions& options,
                  SymmetricStore& store, std::stop_token stop, const TrainingWatch& watch,
                  TrainingPart part) {
  const MatrixSpec matrix{.name = "K",
                          .kind = MatrixKind::kSymmetric,
                          .num_rows = images.num_examples(),
                          .num_columns = images.num_examples()};
  const TileContent content = content_of(true, Derivative::kNone);
  const TilePlan plan =
      plan_tiles({matrix}, default_tile_size(program, {&matrix, 1}, options, content));
  ComputeRequest request{
      .program = &program, .plan = &plan, .sources = {{&images, nullptr}}, .tiles = {}};
  request.tiles.resize(plan.tiles.size());
  std::iota(request.tiles.begin(), request.tiles.end(), 0);
  request.content = content;
  StoreSink sink(store);
  compute_tiles(request, options, sink, stop, counting(watch, part, images.num_examples()));
  check_stop(stop);
}

double mean_diagonal(const SymmetricSource& kernel) {
  double sum = 0;
  for (Index i = 0; i < kernel.size(); ++i) {
    double entry = 0;
    kernel.read({i, i + 1}, {i, i + 1}, {&entry, 1});
    sum += entry;
  }
  return sum / static_cast<double>(kernel.size());
}

TrainingFunction::TrainingFunction(const Program& program, const ParameterSpace& space,
                                   const Objective& objective, MatrixRoom& room,
                                   const ComputeOptions& options)
    : program_(program), space_(space), objective_(objective), room_(room), options_(options) {}

Program TrainingFunction::program_at(std::span<const double> point) const {
  Program program = program_;
  set_parameter_values(program, space_.values(point));
  return program;
}

Evaluation TrainingFunction::evaluate(std::span<const double> point,
                                      const TrainingExamples& examples, std::stop_token stop) {
  constexpr double kNone = std::numeric_limits<double>::infinity();
  failure_.clear();
  seconds_ = {};
  if (const Index i = space_.out_of_bounds(point); i >= 0) {
    failure_ = fmt::format("{} is at its bound", space_.name(i));
    return {.value = kNone, .gradient = {}};
  }
  StopWatch clock;
  const Program program = program_at(point);
  const auto n = static_cast<double>(examples.images.num_examples());
  const auto kernel = room_.make_store(examples.images.num_examples());
  store_kernel(program, examples.images, options_, *kernel, stop, watch);
  seconds_.kernel = clock.lap();
  const double noise = space_.noise(point), mean = mean_diagonal(*kernel);
  ObjectiveResult result;
  if (watch) watch(TrainingPart::kObjective, 0);
  try {
    result = objective_.evaluate({.kernel = *kernel,
                                  .jitter = noise * mean,
                                  .targets = examples.targets,
                                  .subset = examples.subset},
                                 room_);
  } catch (const NotPositiveDefinite& error) {
    failure_ = error.what();
    return {.value = kNone, .gradient = {}};
  }
  const double trace = result.sees_jitter ? result.upstream->trace() : 0;
  result.upstream->add_to_diagonal(noise / n * trace);
  seconds_.objective = clock.lap();
  check_stop(stop);
  std::vector<double> gradient(program.parameters.size());
  fill_arrays(program, examples.images, nullptr, options_,
              {.kernel = {}, .jacobian = {}, .gradient = gradient}, Derivative::kGradient,
              result.upstream.get(), 0, stop,
              counting(watch, TrainingPart::kGradient, examples.images.num_examples()));
  check_stop(stop);
  seconds_.gradient = clock.lap();
  return {.value = result.value,
          .gradient = space_.to_coordinates(point, gradient, noise * mean * trace)};
}

}  // namespace gramtile
