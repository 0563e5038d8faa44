#include "io/train/training_file.hpp"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "engine/core/errors.hpp"
#include "engine/core/version.hpp"
#include "engine/network/parameter_values.hpp"
#include "io/hdf5/hdf5.hpp"
#include "io/network/network_json.hpp"

namespace gramtile {
namespace {

using hdf5::FileBuilder;

constexpr std::int64_t kTrainingVersion = 1;
constexpr const char* kFormat = "gramtile training";

Index as_index(std::size_t n) { return static_cast<Index>(n); }

/// One number, or as many as `width`, of every record.
template <class Value>
void add_history(FileBuilder& file, const std::string& name, const TrainingState& state,
                 const std::string& axis, Index width, const Value& value) {
  std::vector<double> all;
  for (const TrainingRecord& record : state.records) value(record, all);
  const Index steps = as_index(state.records.size());
  if (width == 0) {
    file.add_float64(name, {steps}, all);
    file.name_axes(name, {"step"});
  } else {
    file.add_float64(name, {steps, width}, all);
    file.name_axes(name, {"step", axis});
  }
}

void add_axis(FileBuilder& file, const std::string& name, const std::vector<std::string>& values) {
  file.add_strings(name, values);
  file.make_scale(name);
}

void add_axes(FileBuilder& file, const Trainer& trainer) {
  std::vector<std::string> coordinates;
  for (Index i = 0; i < trainer.space().size(); ++i) coordinates.push_back(trainer.space().name(i));
  add_axis(file, "coordinate", coordinates);
  add_axis(file, "part", {"kernel", "objective", "gradient", "all"});
  const Index steps = as_index(trainer.state().records.size());
  file.generate_int64("step", {steps}, [](Index i) { return i + 1; });
  file.make_scale("step");
}

void add_records(FileBuilder& file, const Trainer& trainer) {
  const TrainingState& state = trainer.state();
  const Index width = trainer.space().size();
  const auto add = [&](const std::string& name, const std::string& axis, Index size,
                       const auto& value) {
    add_history(file, name, state, axis, size,
                [&](const TrainingRecord& r, std::vector<double>& to) { value(r, to); });
  };
  using To = std::vector<double>;
  using Record = TrainingRecord;
  add("objective", "", 0, [](const Record& r, To& to) { to.push_back(r.objective); });
  add("gradient", "coordinate", width, [&](const Record& r, To& to) {
    to.insert(to.end(), r.by_coordinate.begin(), r.by_coordinate.end());
  });
  add("point", "coordinate", width,
      [](const Record& r, To& to) { to.insert(to.end(), r.point.begin(), r.point.end()); });
  add("noise", "", 0,
      [&](const Record& r, To& to) { to.push_back(trainer.space().noise(r.point)); });
  add("step_length", "", 0, [](const Record& r, To& to) { to.push_back(r.length); });
  add("evaluations", "", 0,
      [](const Record& r, To& to) { to.push_back(double(r.num_evaluations)); });
  add("validation_error", "", 0, [](const Record& r, To& to) {
    to.push_back(r.validation.value_or(std::numeric_limits<double>::quiet_NaN()));
  });
  add("seconds", "part", 4, [](const Record& r, To& to) {
    to.insert(to.end(), {r.parts.kernel, r.parts.objective, r.parts.gradient, r.seconds});
  });
}

void set_options(FileBuilder& file, const TrainingOptions& options) {
  const auto set = [&](const char* name, const auto& value) {
    file.set_attribute("", name, value);
  };
  set("objective", std::string(options.objective->name()));
  set("optimizer", std::string(name_of(options.optimiser)));
  set("seed", static_cast<std::int64_t>(options.seed));
  set("batch", std::int64_t{options.batch});
  set("sub_batch", std::int64_t{options.sub_batch});
  set("learning_rate", options.steps.learning_rate);
  set("max_step", options.steps.max_step);
}

/// All rows and columns of a dataset of numbers.
std::vector<double> numbers(const hdf5::File& file, const std::string& name, std::size_t rank) {
  const hdf5::Dataset dataset = file.dataset(name);
  if (dataset.shape().size() != rank || dataset.num_elements() > (Index{1} << 26))
    throw DataError(file.path(), name + " has not the shape of a training's");
  std::vector<Range> all;
  for (const Index extent : dataset.shape()) all.push_back({0, extent});
  std::vector<double> values(static_cast<std::size_t>(dataset.num_elements()));
  if (!values.empty()) dataset.read(all, values);
  return values;
}

}  // namespace

hdf5::FileImage build_training(const Trainer& trainer, const Network& network,
                               const TrainingOptions& options, const TrainingOrigin& origin) {
  FileBuilder file;
  const auto set = [&](const char* name, const auto& value) {
    file.set_attribute("", name, value);
  };
  const TrainingState& state = trainer.state();
  set("format", std::string(kFormat));
  set("format_version", kTrainingVersion);
  set("program_version", std::string(kVersion));
  set("fingerprint", origin.fingerprint);
  set("complete", std::int64_t{state.ended});
  set("reason", state.reason);
  set("network", origin.network);
  set("trained_network", to_json(with_parameter_values(network, trainer.values())));
  set("noise", trainer.noise());
  set("train", origin.training_source);
  set("validation", origin.validation_source);
  set("targets", origin.targets);
  set("data_type", origin.data_type);
  set("instruction_set", origin.instruction_set);
  set("blas", origin.blas);
  set("command", origin.command);
  set("created", origin.created);
  set_options(file, options);
  add_axes(file, trainer);
  add_records(file, trainer);
  file.add_float64("position", {as_index(state.point.size())}, state.point);
  file.name_axes("position", {"coordinate"});
  file.add_float64("optimizer_state", {as_index(state.optimiser.size())}, state.optimiser);
  return file.finish();
}

TrainingState read_training(const std::string& path) {
  const hdf5::File file(path);
  if (file.string_attribute("format") != kFormat)
    throw DataError(path, "is no file of kernel-train");
  TrainingState state;
  state.ended =
      file.number_attribute("complete").value_or(std::vector<double>{0}) == std::vector<double>{1};
  state.reason = file.string_attribute("reason").value_or("");
  state.point = numbers(file, "position", 1);
  state.optimiser = numbers(file, "optimizer_state", 1);
  const auto objective = numbers(file, "objective", 1), gradient = numbers(file, "gradient", 2),
             point = numbers(file, "point", 2), length = numbers(file, "step_length", 1),
             evaluations = numbers(file, "evaluations", 1),
             validation = numbers(file, "validation_error", 1),
             seconds = numbers(file, "seconds", 2);
  const std::size_t steps = objective.size(), width = state.point.size();
  const bool fits = gradient.size() == steps * width && point.size() == steps * width &&
                    length.size() == steps && evaluations.size() == steps &&
                    validation.size() == steps && seconds.size() == 4 * steps;
  if (!fits) throw DataError(path, "its datasets do not belong together");
  const auto row = [&](const std::vector<double>& values, std::size_t i) {
    const auto begin = values.begin() + static_cast<std::ptrdiff_t>(i * width);
    return std::vector<double>(begin, begin + static_cast<std::ptrdiff_t>(width));
  };
  for (std::size_t i = 0; i < steps; ++i) {
    TrainingRecord record{.objective = objective[i],
                          .length = length[i],
                          .by_coordinate = row(gradient, i),
                          .point = row(point, i),
                          .validation = {},
                          .num_evaluations = static_cast<Index>(evaluations[i]),
                          .seconds = seconds[4 * i + 3],
                          .parts = {seconds[4 * i], seconds[4 * i + 1], seconds[4 * i + 2]}};
    if (!std::isnan(validation[i])) record.validation = validation[i];
    for (const double g : record.by_coordinate)
      record.gradient = std::max(record.gradient, std::abs(g));
    state.records.push_back(std::move(record));
  }
  return state;
}

}  // namespace gramtile
