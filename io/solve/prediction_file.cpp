#include "io/solve/prediction_file.hpp"

#include <numeric>

#include "engine/core/version.hpp"

namespace gramtile {
namespace {

using hdf5::FileBuilder;

constexpr std::int64_t kPredictionVersion = 1;
constexpr const char* kOutputAxis = "output";

void add_set_axis(FileBuilder& file, const ExampleSet& set) {
  if (set.positions.empty()) {
    file.generate_int64(set.name, {set.num_examples},
                        [first = set.first](Index i) { return first + i; });
  } else {
    file.add_int64(set.name, {set.num_examples}, set.positions);
  }
  file.make_scale(set.name);
}

/// The classes, or 0, 1, ….
void add_output_axis(FileBuilder& file, const Prediction& prediction) {
  std::vector<std::int64_t> outputs = prediction.classes;
  if (outputs.empty()) {
    outputs.resize(static_cast<std::size_t>(prediction.num_outputs));
    std::iota(outputs.begin(), outputs.end(), 0);
  }
  file.add_int64(kOutputAxis, {prediction.num_outputs}, outputs);
  file.make_scale(kOutputAxis);
}

class Writer {
 public:
  Writer(FileBuilder& file, const Prediction& prediction) : file_(file), prediction_(prediction) {}

  void add_outputs(const std::string& name, const ExampleSet& set,
                   const std::vector<double>& values) {
    file_.add_float64(name, {set.num_examples, prediction_.num_outputs}, values);
    file_.name_axes(name, {set.name, kOutputAxis});
  }
  void add_column(const std::string& name, const ExampleSet& set,
                  const std::vector<double>& values) {
    file_.add_float64(name, {set.num_examples}, values);
    file_.name_axes(name, {set.name});
  }
  void add_set(const ExampleSet& set, const SetPrediction& predicted) {
    add_outputs(set.name + "_mean", set, predicted.mean);
    if (!predicted.variance.empty()) add_column(set.name + "_variance", set, predicted.variance);
    if (!predicted.classes.empty()) {
      file_.add_int64(set.name + "_class", {set.num_examples}, predicted.classes);
      file_.name_axes(set.name + "_class", {set.name});
    }
    if (predicted.score) file_.set_attribute("", set.name + score_name(), *predicted.score);
  }
  void add_factor(const ExampleSet& train, const FactorPrediction& found) {
    file_.set_attribute("", "log_determinant", found.log_determinant);
    file_.set_attribute("", "log_marginal_likelihood", found.log_marginal_likelihood);
    file_.set_attribute("", "condition_estimate", found.condition_estimate);
    add_outputs("loo_mean", train, found.leave_one_out.mean);
    add_column("loo_variance", train, found.leave_one_out.variance);
    file_.set_attribute("", "loo" + score_name(), found.leave_one_out_score);
  }
  void add_iteration(const IterationFacts& facts) {
    file_.set_attribute("", "tolerance", facts.tolerance);
    file_.set_attribute("", "residual", facts.residual);
    file_.set_attribute("", "iterations", std::int64_t{facts.num_iterations});
    file_.set_attribute("", "preconditioner_rank", std::int64_t{facts.rank});
  }

 private:
  std::string score_name() const {
    return prediction_.classes.empty() ? "_mean_squared_error" : "_accuracy";
  }

  FileBuilder& file_;
  const Prediction& prediction_;
};

void set_origin(FileBuilder& file, const PredictionOrigin& origin, const RunSpec& spec) {
  const auto set = [&](const char* name, const auto& value) {
    file.set_attribute("", name, value);
  };
  set("format", std::string("gramtile prediction"));
  set("format_version", kPredictionVersion);
  set("program_version", std::string(kVersion));
  set("fingerprint", origin.fingerprint);
  set("kernel_file", origin.kernel_file);
  set("kernel_hash", origin.kernel_hash);
  set("kernel_data_type", std::string(name_of(spec.data_type)));
  set("targets", origin.targets);
  set("solver", origin.solver);
  set("blas", origin.blas);
  set("command", origin.command);
  set("created", origin.created);
}

}  // namespace

hdf5::FileImage build_prediction(const Prediction& prediction, const PredictionOrigin& origin,
                                 const RunSpec& spec, Index training) {
  FileBuilder file;
  set_origin(file, origin, spec);
  file.set_attribute("", "jitter", prediction.jitter);
  if (!prediction.classes.empty()) file.set_attribute("", "classes", prediction.classes);
  const ExampleSet& train = spec.sets[static_cast<std::size_t>(training)];
  add_output_axis(file, prediction);
  add_set_axis(file, train);
  Writer writer(file, prediction);
  writer.add_outputs("coefficients", train, prediction.coefficients);
  if (prediction.by_factor) writer.add_factor(train, *prediction.by_factor);
  if (prediction.by_iteration) writer.add_iteration(*prediction.by_iteration);
  for (const SetPrediction& predicted : prediction.sets) {
    const ExampleSet& set = spec.sets[static_cast<std::size_t>(predicted.set)];
    add_set_axis(file, set);
    writer.add_set(set, predicted);
  }
  return file.finish();
}

}  // namespace gramtile
