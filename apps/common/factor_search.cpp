#include "apps/common/factor_search.hpp"

#include <fmt/format.h>

#include "engine/core/errors.hpp"

namespace gramtile::apps {

std::optional<PivotFailure> FactorSearch::attempt(double jitter) {
  const Index number = num_attempts_++;
  if (work_ != nullptr) {
    if (const auto known = work_->failure_of(number)) return known;
    work_->begin(number);
  } else {
    store_.restart();
  }
  const auto failure = factorise(kernels_.kernel(), facts_, jitter, store_, context_);
  if (failure && work_ != nullptr) work_->record(*failure);
  return failure;
}

void FactorSearch::factor(double jitter) {
  if (const auto failure = attempt(jitter)) refuse(*failure, jitter);
}

double FactorSearch::factor_with_least_jitter() {
  const auto failure = attempt(0);
  if (!failure) return 0;
  if (!(facts_.mean_diagonal() > 0)) refuse(*failure, 0);
  double last_good = 0;
  bool is_factored = false;
  const SmallestJitter least = smallest_jitter(facts_.mean_diagonal(), [&](double jitter) {
    is_factored = !attempt(jitter);
    if (is_factored) last_good = jitter;
    return is_factored;
  });
  // The search ends with what failed or with what works.
  if (!is_factored || last_good != least.value) factor(least.value);
  return least.value;
}

void FactorSearch::refuse(const PivotFailure& failure, double jitter) {
  const ExampleSet& training = kernels_.training_set();
  std::string text = fmt::format(
      "{}: Kxx + {:g}·I is not positive definite: pivot {} is {:.3g}, of training image {} (image "
      "{} of {})",
      kernels_.path(), jitter, failure.index, failure.pivot, failure.index,
      training.position(failure.index), training.source);
  const double mean = facts_.mean_diagonal();
  if (mean > 0) {
    const SmallestJitter least =
        smallest_jitter(mean, [&](double more) { return more > jitter && !attempt(more); });
    text += fmt::format("; --jitter {:g} (--jitter-relative 1e{}) is enough", least.value,
                        least.exponent);
  }
  if (kernels_.spec().data_type == DataType::kFloat32)
    text +=
        "; the file is float32, whose rounding alone gives near-duplicate images eigenvalues of "
        "-1e-9 to -2e-8 of the largest: with --dtype float64 it does not";
  throw Error(ErrorKind::kOther, text);
}

}  // namespace gramtile::apps
