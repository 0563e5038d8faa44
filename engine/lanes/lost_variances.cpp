#include "engine/lanes/lost_variances.hpp"

#include <algorithm>
#include <vector>

#include "engine/reference/maps.hpp"

namespace gramtile {
namespace {

/// One value's variances, and what of them comes from lost pixels.
struct Variances {
  reference::Map all, lost;
};

class VariancePass {
 public:
  VariancePass(const LaneProgram& program, double threshold)
      : program_(program), threshold_(threshold) {
    ValueId last = program.output_value;
    for (const StepValues& values : program.step_values) last = std::max(last, values.output);
    values_.resize(as_size(last) + 1);
  }

  double lost_share(std::span<const double> image) {
    for (std::size_t i = 0; i < program_.steps.size(); ++i) {
      const LaneStep& step = program_.steps[i];
      const StepValues& values = program_.step_values[i];
      Variances source = step.source == RowSource::kImages ? squares(image) : at(values.source);
      if (reads_variances(step)) lose(source);
      step.source == RowSource::kPoint ? apply(step, values, source) : run(step, values, source);
    }
    const Variances& output = at(program_.output_value);
    return output.lost[0] == 0 ? 0 : output.lost[0] / output.all[0];
  }

 private:
  Variances squares(std::span<const double> image) const {
    const ImageShape& shape = program_.input;
    Variances result{reference::input_maps(shape, image, image).xy, {}};
    result.lost.assign(result.all.size(), 0.0);
    return result;
  }

  void lose(Variances& v) const {
    for (std::size_t p = 0; p < v.all.size(); ++p) {
      if (v.all[p] < threshold_) v.lost[p] = v.all[p];
    }
  }

  /// Where xy is off by Δ ≤ √(lost_x·lost_y), F is by |∂F/∂xy|·Δ ≤ √(g(xx)·lost_x·g(yy)·lost_y).
  void apply(const LaneStep& step, const StepValues& values, const Variances& source) {
    Variances result = source;
    ask(activation_of(step.activation), [&](const auto& function) {
      for (std::size_t p = 0; p < result.all.size(); ++p) {
        result.all[p] = step.weight * function.diagonal(source.all[p]);
        result.lost[p] = step.weight * function.steepest_slope(source.all[p]) * source.lost[p];
      }
    });
    at(values.output) = std::move(result);
  }

  void run(const LaneStep& step, const StepValues& values, const Variances& source) {
    const auto sum = [&](const reference::Map& map) {
      return step.pointwise() ? map
                              : reference::window_sum(step.geometry, step.input, step.output, map);
    };
    Variances result{sum(source.all), sum(source.lost)};
    const Variances* addend = step.addend_slot == kNoSlot ? nullptr : &at(values.addend);
    for (std::size_t p = 0; p < result.all.size(); ++p) {
      result.all[p] = step.weight * result.all[p] + step.bias;
      result.lost[p] *= step.weight;
      if (addend == nullptr) continue;
      result.all[p] += step.addend_weight * addend->all[p];
      result.lost[p] += step.addend_weight * addend->lost[p];
    }
    at(values.output) = std::move(result);
  }

  Variances& at(ValueId value) { return values_[as_size(value)]; }

  const LaneProgram& program_;
  double threshold_;
  std::vector<Variances> values_;  ///< by ValueId
};

}  // namespace

double lost_share(const LaneProgram& program, std::span<const double> image, double threshold) {
  return VariancePass(program, threshold).lost_share(image);
}

}  // namespace gramtile
