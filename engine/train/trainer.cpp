#include "engine/train/trainer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "engine/core/errors.hpp"
#include "engine/schedule/compute_arrays.hpp"
#include "engine/train/batches.hpp"

namespace gramtile {
namespace {

/// Draws of one step.
enum Stream : std::uint64_t { kBatch, kSubset, kValidation };

/// A step whose end has no value is halved so many times.
constexpr int kMostHalvings = 3;
constexpr Index kImagesAtOnce = 512;  ///< of a validation set

}  // namespace

bool batches_change(const TrainingOptions& options) {
  return options.batch != 0 || options.sub_batch != 0;
}

OptimiserKind default_optimiser(const TrainingOptions& options) {
  return batches_change(options) ? OptimiserKind::kAdam : OptimiserKind::kLbfgs;
}

void check_training_options(const TrainingOptions& o, Index num_images) {
  const auto refuse = [](const std::string& problem) { throw Error(ErrorKind::kUsage, problem); };
  const Index batch = o.batch == 0 ? num_images : o.batch;
  if (batch > num_images)
    refuse(fmt::format("--batch {}: there are {} images", o.batch, num_images));
  if (o.objective->needs_subset() && o.sub_batch == 0)
    refuse(fmt::format("--objective {} needs --sub-batch", o.objective->name()));
  if (!o.objective->needs_subset() && o.sub_batch != 0)
    refuse(fmt::format("--sub-batch: {} looks at whole batches", o.objective->name()));
  if (o.sub_batch >= batch && o.sub_batch != 0)
    refuse(fmt::format("--sub-batch {}: a part of the {} images of a step is needed", o.sub_batch,
                       batch));
  if (batches_change(o) && o.optimiser == OptimiserKind::kLbfgs)
    refuse("--optimizer lbfgs needs an objective that stays the same; with batches use adam");
}

std::string_view name_of(OptimiserKind kind) {
  return kind == OptimiserKind::kAdam ? "adam" : "lbfgs";
}

struct Trainer::Impl {
  const Program& program;
  TrainingSet training;
  std::optional<ValidationSet> validation;
  TrainingOptions options;
  MatrixRoom& room;
  ComputeOptions compute;
  ParameterSpace space;
  TrainingFunction function;
  std::unique_ptr<Optimiser> optimiser;
  TrainingState state;

  Impl(const Program& p, TrainingSet t, std::optional<ValidationSet> v, const TrainingOptions& o,
       MatrixRoom& r, const ComputeOptions& c, std::optional<TrainingState> given)
      : program(p),
        training(std::move(t)),
        validation(std::move(v)),
        options(o),
        room(r),
        compute(c),
        space(p, o.noise, o.noise_is_fixed || !sees_noise(o)),
        function(p, space, *o.objective, r, c) {
    check_training_options(options, training.images.num_examples());
    optimiser = options.optimiser == OptimiserKind::kAdam ? make_adam(space.size(), options.steps)
                                                          : make_lbfgs(space.size(), options.steps);
    if (given) {
      state = std::move(*given);
      optimiser->restore(state.optimiser);
    } else {
      state.point = space.start();
      state.optimiser = optimiser->state();
    }
  }

  static bool sees_noise(const TrainingOptions& o) { return o.objective != &alignment(); }
  Index num_images() const { return training.images.num_examples(); }

  /// What a step looks at, if not at everything.
  struct Batch {
    mutable std::optional<ArraySource> images;
    Targets targets;
    std::vector<Index> subset;
  };
  Batch draw(Index step) const {
    Batch batch;
    Index size = num_images();
    if (options.batch != 0) {
      const auto chosen = draw_examples(options.seed, step, kBatch, size, options.batch);
      batch.images.emplace(gather_images(training.images, chosen));
      batch.targets = gather_targets(training.targets, chosen);
      size = options.batch;
    }
    if (options.sub_batch != 0)
      batch.subset = draw_examples(options.seed, step, kSubset, size, options.sub_batch);
    return batch;
  }

  using Tell = std::function<void(const std::string&)>;
  /// Moves state.point and state.optimiser; the record lacks validation and seconds.
  StepEnd move(TrainingRecord& record, const Tell& tell, std::stop_token stop);
  Evaluation evaluated(std::span<const double> point, const Batch& batch, TrainingRecord& record,
                       std::string& failure, const Tell& tell, std::stop_token stop);
  void pull_back();
  /// Where the last step began.
  std::vector<double> point_before() const;
  void end(StepEnd end, const Tell& tell);
  double validation_error(std::stop_token stop);
};

Trainer::Trainer(const Program& program, TrainingSet training,
                 std::optional<ValidationSet> validation, const TrainingOptions& options,
                 MatrixRoom& room, const ComputeOptions& compute,
                 std::optional<TrainingState> state)
    : impl_(std::make_unique<Impl>(program, std::move(training), std::move(validation), options,
                                   room, compute, std::move(state))) {}

Trainer::~Trainer() = default;

const TrainingState& Trainer::state() const { return impl_->state; }
const ParameterSpace& Trainer::space() const { return impl_->space; }
std::vector<double> Trainer::values() const { return impl_->space.values(impl_->state.point); }
double Trainer::noise() const { return impl_->space.noise(impl_->state.point); }

void Trainer::step(std::stop_token stop) {
  Impl& m = *impl_;
  if (m.state.ended) return;
  const auto began = std::chrono::steady_clock::now();
  const TrainingState before = m.state;
  m.function.watch = watch;
  const auto tell = [this](const std::string& text) {
    if (notice) notice(text);
  };
  try {
    TrainingRecord record;
    const StepEnd end = m.move(record, tell, stop);
    const auto number = static_cast<Index>(m.state.records.size()) + 1;
    const bool last = number >= m.options.num_steps || end != StepEnd::kMoved;
    const bool due = m.options.validate_every != 0 && number % m.options.validate_every == 0;
    if (m.validation && (last || due)) record.validation = m.validation_error(stop);
    record.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    m.state.records.push_back(std::move(record));
    if (last) m.end(end, tell);
  } catch (...) {
    m.state = before;
    m.optimiser->restore(before.optimiser);
    throw;
  }
}

StepEnd Trainer::Impl::move(TrainingRecord& record, const Tell& tell, std::stop_token stop) {
  const Batch batch = draw(static_cast<Index>(state.records.size()));
  std::string failure;
  const auto evaluate = [&](std::span<const double> at) {
    return evaluated(at, batch, record, failure, tell, stop);
  };
  StepReport report = optimiser->step(evaluate, state.point);
  // Of Adam: where the last step ended there is no value on this batch; half of that step may have
  // one.
  for (int halvings = 0; report.end == StepEnd::kStuck && !std::isfinite(report.value);
       ++halvings) {
    if (halvings == kMostHalvings || state.records.empty() ||
        options.optimiser == OptimiserKind::kLbfgs)
      throw Error(ErrorKind::kOther,
                  failure + "; a larger --noise, or a smaller --max-step, may help");
    const std::vector<double> from = point_before();
    for (std::size_t i = 0; i < from.size(); ++i) state.point[i] = 0.5 * (state.point[i] + from[i]);
    report = optimiser->step(evaluate, state.point);
  }
  if (options.optimiser == OptimiserKind::kAdam && report.end == StepEnd::kMoved) pull_back();
  state.optimiser = optimiser->state();
  record.objective = report.value;
  record.gradient = report.gradient;
  record.length = report.length;
  record.by_coordinate = std::move(report.by_coordinate);
  record.point = state.point;
  return report.end;
}

Evaluation Trainer::Impl::evaluated(std::span<const double> point, const Batch& batch,
                                    TrainingRecord& record, std::string& failure, const Tell& tell,
                                    std::stop_token stop) {
  BlockSource& images = batch.images ? static_cast<BlockSource&>(*batch.images) : training.images;
  Evaluation found = function.evaluate(
      point, {images, batch.images ? batch.targets : training.targets, batch.subset}, stop);
  record.parts.kernel += function.seconds().kernel;
  record.parts.objective += function.seconds().objective;
  record.parts.gradient += function.seconds().gradient;
  ++record.num_evaluations;
  failure = function.failure();
  if (!failure.empty()) tell(failure + "; a shorter step is tried");
  if (failure.empty() && !std::isfinite(found.value))
    failure = fmt::format("the objective is {}", found.value);
  return found;
}

void Trainer::Impl::pull_back() {
  const std::vector<double> start = space.start();
  const double share = options.steps.learning_rate * options.pull;
  for (std::size_t i = 0; i < start.size(); ++i)
    state.point[i] -= share * (state.point[i] - start[i]);
}

std::vector<double> Trainer::Impl::point_before() const {
  const std::size_t steps = state.records.size();
  return steps > 1 ? state.records[steps - 2].point : space.start();
}

void Trainer::Impl::end(StepEnd end, const Tell& tell) {
  state.ended = true;
  state.reason = end == StepEnd::kConverged ? "the gradient is 0 within its tolerance"
                 : end == StepEnd::kStuck   ? "no step leads down any further"
                                            : "all steps are made";
  if (end == StepEnd::kConverged && state.records.size() == 1)
    tell("the gradient is 0 where training begins: nothing was trained");
}

double Trainer::validate(std::stop_token stop) { return impl_->validation_error(stop); }

double Trainer::Impl::validation_error(std::stop_token stop) {
  const Program here = function.program_at(state.point);
  std::optional<ArraySource> images;
  Targets targets = training.targets;
  if (options.batch != 0) {
    const auto chosen = draw_examples(options.seed, 0, kValidation, num_images(), options.batch);
    images.emplace(gather_images(training.images, chosen));
    targets = gather_targets(training.targets, chosen);
  }
  BlockSource& train = images ? static_cast<BlockSource&>(*images) : training.images;
  const auto kernel = room.make_store(train.num_examples());
  store_kernel(here, train, compute, *kernel, stop, function.watch, TrainingPart::kValidation);
  const auto factored = room.factor(*kernel, space.noise(state.point) * mean_diagonal(*kernel));
  const std::vector<double> a = coefficients(factored->solver(), targets);
  std::vector<double> outputs;
  const Index count = validation->images.num_examples();
  for (Index first = 0; first < count; first += kImagesAtOnce) {
    std::vector<Index> chosen;
    for (Index i = first; i < std::min(first + kImagesAtOnce, count); ++i) chosen.push_back(i);
    ArraySource part = gather_images(validation->images, chosen);
    const ArrayResult rows = compute_arrays(here, part, &train, compute);
    const auto mean = predictive_mean(rows.kernel, a, targets.num_outputs);
    outputs.insert(outputs.end(), mean.begin(), mean.end());
    if (stop.stop_requested()) throw Error(ErrorKind::kInterrupted, "stopped");
  }
  if (validation->labels.empty()) return mean_squared_error(outputs, validation->targets.values);
  return 1 - accuracy(classes_of(outputs, validation->classes), validation->labels);
}

}  // namespace gramtile
