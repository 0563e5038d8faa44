#include "engine/lanes/lane_program.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "engine/lanes/fuse_layers.hpp"
#include "engine/lanes/layout_checker.hpp"
#include "engine/lanes/relu_table_use.hpp"
#include "engine/lanes/term_collector.hpp"
#include "engine/lanes/value_scales.hpp"

namespace gramtile {
namespace {

/// A step's source with what it does to the step's weight.
struct Source {
  RowSource kind = RowSource::kMap;
  ValueId map = 0;  ///< the value read from a slot; unused for kImages
  Index map_offset = 0;
  double factor = 1;  ///< ½ behind a relu: the kernels produce twice the relu
};

/// Walks the program once. `uses_` counts how often a value is still to be read; a slot is free
/// again when its value's count reaches 0.
class Compiler {
 public:
  Compiler(const Program& program, bool keep_values, const std::vector<int>& exponents)
      : program_(program),
        keep_values_(keep_values),
        exponents_(exponents),
        may_use_table_(stays_in_relu_table(program)),
        uses_(program.values.size(), 0),
        activation_reads_(program.values.size(), false),
        terms_(result_) {
    result_.input = program.input;
    result_.value_slots.assign(program.values.size(), kNoSlot);
    relu_of_.assign(program.values.size(), nullptr);
    fused_conv_.assign(program.values.size(), nullptr);
    shortcut_.assign(program.values.size(), nullptr);
  }

  LaneProgram run() {
    count_uses();
    place_variance_maps();
    if (input_needs_slot()) store_input();
    for (std::size_t i = 0; i < program_.ops.size(); ++i) {
      std::visit([&](const auto& op) { compile(op, i); }, program_.ops[i]);
    }
    result_.output_slot = slot_of(program_.output);
    result_.output_value = program_.output;
    result_.keeps_values = keep_values_;
    result_.output_exponent = exponent(program_.output);
    result_.scales_images = scales_with_images(program_);
    terms_.scale(exponents_);
    if (keep_values_) place_extra_maps();
    fuse_layers(result_, keep_values_);
    size_buffers();
    return std::move(result_);
  }

 private:
  void count_uses() {
    for (const Op& op : program_.ops) {
      std::visit([this](const auto& any) { count_reads(any); }, op);
    }
    ++uses(program_.output);
  }
  void count_reads(const Conv2dOp& op) { ++uses(op.input); }
  void count_reads(const ActivationOp& op) {
    ++uses(op.input);
    activation_reads_[static_cast<std::size_t>(op.input)] = true;
  }
  void count_reads(const SumOp& op) {
    for (ValueId v : op.inputs) ++uses(v);
  }

  void place_variance_maps() {
    for (const Op& op : program_.ops) {
      std::visit([this](const auto& any) { place_variance_map(any); }, op);
    }
  }
  void place_variance_map(const Conv2dOp&) {}
  void place_variance_map(const ActivationOp& op) {
    const Index num_pixels = shape(op.input).num_pixels();
    result_.activation_maps.push_back({op.activation, result_.num_map_pixels, num_pixels});
    result_.num_map_pixels += num_pixels;
  }
  void place_variance_map(const SumOp&) {}

  /// A convolution reads the images themselves; anything else needs their product in a slot.
  bool input_needs_slot() const {
    if (program_.output == 0) return true;
    struct ReadsInput {
      bool operator()(const Conv2dOp&) const { return false; }
      bool operator()(const ActivationOp& op) const { return op.input == 0; }
      bool operator()(const SumOp& op) const { return std::ranges::count(op.inputs, 0) > 0; }
    };
    return std::ranges::any_of(program_.ops,
                               [](const Op& op) { return std::visit(ReadsInput(), op); });
  }

  void store_input() {
    LaneStep step;
    step.source = RowSource::kImages;
    step.input = step.output = shape(0);
    step.output_slot = result_.value_slots[0] = new_slot();
    result_.steps.push_back(step);
    result_.step_values.push_back({});
  }

  void compile(const ActivationOp& op, std::size_t) {
    if (!is_fused(op.activation)) return compile_point(op);
    relu_of_[static_cast<std::size_t>(op.output)] = &op;
    if (uses(op.output) == 1 && op.output != program_.output &&
        !activation_reads_[static_cast<std::size_t>(op.output)]) {
      return;  // its reader applies it
    }
    LaneStep step = step_from(op.output, 1, {}, shape(op.output));
    finish(step, {source_of(op.output).map}, op.output);
    relu_of_[static_cast<std::size_t>(op.output)] = nullptr;  // from now on it is a map
  }

  /// A point step. What it reads is a map: a relu that an activation reads is made into one.
  void compile_point(const ActivationOp& op) {
    LaneStep step;
    step.source = RowSource::kPoint;
    step.activation = ask(op.activation, [](const auto& function) { return function.code(); });
    step.input_slot = slot_of(op.input);
    step.map_offset = activation_map(op).offset;
    step.input = step.output = shape(op.output);
    finish(step, {op.input}, op.output);
  }

  void compile(const Conv2dOp& op, std::size_t index) {
    if (ends_branch_of_next_sum(op, index)) {
      fused_conv_[static_cast<std::size_t>(op.output)] = &op;
      return;
    }
    if (is_shortcut_of_sum(op, index)) {
      shortcut_[static_cast<std::size_t>(op.output)] = &op;
      return;
    }
    LaneStep step = conv_step(op, 1);
    terms_.add_convolution(op, source_of(op.input).factor);
    finish(step, {source_of(op.input).map}, op.output);
  }

  void compile(const SumOp& op, std::size_t) {
    if (op.first_logit != kNoParameter) terms_.start_mixture(op);
    // The fused convolution last, plain maps before relus: a plain map can be an addend.
    std::vector<std::pair<ValueId, double>> terms;
    for (std::size_t b = 0; b < op.inputs.size(); ++b)
      terms.push_back({op.inputs[b], op.weights[b]});
    std::stable_sort(terms.begin(), terms.end(),
                     [&](const auto& a, const auto& b) { return rank(a.first) < rank(b.first); });
    // The first plain map is carried as an addend; without one, the first term becomes a map.
    std::size_t next = 0;
    Index addend = kNoSlot;
    double addend_weight = 1;
    ValueId addend_value = terms[0].first;
    bool addend_is_own = false;  // a slot of this sum, not of a value
    double addend_bias = 0;
    if (rank(terms[0].first) == 0 && terms.size() > 1) {
      addend_weight = terms[0].second;
      if (const Conv2dOp* shortcut = shortcut_[static_cast<std::size_t>(addend_value)]) {
        addend_value = shortcut->input;
        addend_bias = addend_weight * shortcut->bias.value;
        addend_weight *= shortcut->weight.value;
      }
      addend = slot_of(addend_value);
      next = 1;
    }
    for (; next < terms.size(); ++next) {
      const auto [value, weight] = terms[next];
      const Conv2dOp* conv = fused_conv_[static_cast<std::size_t>(value)];
      LaneStep step = conv != nullptr ? conv_step(*conv, weight)
                                      : step_from(value, weight, {}, shape(op.output));
      step.addend_slot = addend;
      step.addend_weight = addend_weight;
      step.bias += addend_bias;
      if (conv != nullptr) terms_.add_convolution(*conv, source_of(conv->input).factor, weight);
      if (op.first_logit != kNoParameter) {
        terms_.add_mixture_branch(kRawWeight, value, source_of(value).factor);
        step.addend_derivative = addend != kNoSlot && !addend_is_own;
        if (step.addend_derivative) terms_.add_mixture_branch(kRawAddend, terms[0].first, 1);
      }
      const ValueId read = source_of(conv != nullptr ? conv->input : value).map;
      step.output_slot = addend_is_own ? addend : kNoSlot;
      finish(step,
             addend == kNoSlot || addend_is_own ? std::vector<ValueId>{read}
                                                : std::vector<ValueId>{addend_value, read},
             op.output);
      addend = slot_of(op.output);
      addend_weight = 1;
      addend_bias = 0;
      addend_is_own = true;
    }
  }

  /// 0: stored map, 1: relu to be applied, 2: convolution to be done here.
  int rank(ValueId v) const {
    if (fused_conv_[static_cast<std::size_t>(v)] != nullptr) return 2;
    return relu_of_[static_cast<std::size_t>(v)] != nullptr ? 1 : 0;
  }

  /// A tape needs the branches of a mixture, so there they stay apart.
  bool ends_branch_of_next_sum(const Conv2dOp& op, std::size_t index) const {
    if (index + 1 >= program_.ops.size() || uses(op.output) != 1) return false;
    const auto* sum = std::get_if<SumOp>(&program_.ops[index + 1]);
    if (sum == nullptr || (keep_values_ && sum->first_logit != kNoParameter)) return false;
    return std::count(sum->inputs.begin(), sum->inputs.end(), op.output) == 1;
  }

  /// A 1×1 convolution of a stored map beside a convolution that the sum of both computes: its
  /// weight and bias can be the addend's. A tape needs it for itself.
  bool is_shortcut_of_sum(const Conv2dOp& op, std::size_t index) const {
    if (keep_values_ || op.geometry != WindowGeometry{} || uses(op.output) != 1) return false;
    if (source_of(op.input).kind != RowSource::kMap) return false;
    for (std::size_t i = index + 1; i + 1 < program_.ops.size(); ++i) {
      const auto* sum = std::get_if<SumOp>(&program_.ops[i + 1]);
      if (sum == nullptr) continue;
      if (std::count(sum->inputs.begin(), sum->inputs.end(), op.output) == 0) continue;
      const auto* conv = std::get_if<Conv2dOp>(&program_.ops[i]);
      return sum->inputs.size() == 2 && conv != nullptr && conv->output != op.output &&
             ends_branch_of_next_sum(*conv, i);
    }
    return false;
  }

  Source source_of(ValueId v) const {
    if (const ActivationOp* relu = relu_of_[static_cast<std::size_t>(v)]) {
      const bool nonnegative =
          may_use_table_ && program_.values[static_cast<std::size_t>(relu->input)].nonnegative;
      return {nonnegative ? RowSource::kReluNonneg : RowSource::kRelu, relu->input,
              activation_map(*relu).offset, 0.5};
    }
    if (v == 0 && result_.value_slots[0] == kNoSlot) return {RowSource::kImages, 0, 0, 1};
    return {RowSource::kMap, v, 0, 1};
  }

  const ActivationMap& activation_map(const ActivationOp& op) const {
    return result_.activation_maps[static_cast<std::size_t>(op.number)];
  }

  LaneStep step_from(ValueId v, double weight, const WindowGeometry& geometry,
                     MapShape output) const {
    const Source source = source_of(v);
    LaneStep step;
    step.source = source.kind;
    step.input_slot = source.kind == RowSource::kImages ? kNoSlot : slot_of(source.map);
    step.map_offset = source.map_offset;
    step.input = shape(v);
    step.output = output;
    step.geometry = geometry;
    step.weight = weight * source.factor;
    return step;
  }

  LaneStep conv_step(const Conv2dOp& op, double scale) const {
    const auto taps = static_cast<double>(op.geometry.num_taps());
    LaneStep step =
        step_from(op.input, scale * op.weight.value / taps, op.geometry, shape(op.output));
    step.bias = scale * op.bias.value;
    return step;
  }

  /// Multiplies a step's numbers by the powers of two of what it reads and makes.
  void scale(LaneStep& step, const StepValues& values) const {
    const int to = exponent(values.output);
    step.weight = std::ldexp(step.weight, to - exponent(values.source));
    step.bias = std::ldexp(step.bias, to);
    step.addend_weight = std::ldexp(step.addend_weight, to - exponent(values.addend));
  }

  /// Counts the reads, chooses the output's slot unless the step has one, and appends the step. The
  /// addend's slot is best, which is read at the pixel that is written.
  void finish(LaneStep step, const std::vector<ValueId>& reads, ValueId output) {
    // The source comes last; what is added to itself is not read.
    const StepValues values{.source = reads.back(),
                            .addend = reads.size() > 1 ? reads.front() : output,
                            .output = output};
    scale(step, values);
    result_.step_values.push_back(values);
    std::optional<Index> reusable;
    for (ValueId v : reads) {
      const Index slot = result_.value_slots[static_cast<std::size_t>(v)];
      if (--uses(v) > 0 || slot == kNoSlot || keep_values_) continue;
      const bool addend_only = slot == step.addend_slot && slot != step.input_slot;
      if (!reusable && step.output_slot == kNoSlot && (addend_only || can_run_in_place(step))) {
        reusable = slot;
      } else {
        free_.push_back(slot);
      }
    }
    if (step.output_slot == kNoSlot) {
      // A slot freed by this very step is not for its output.
      step.output_slot = reusable ? *reusable : new_slot(free_at_start_);
    }
    free_at_start_ = free_.size();
    result_.value_slots[static_cast<std::size_t>(output)] = step.output_slot;
    result_.steps.push_back(step);
  }

  Index new_slot(std::size_t usable) {
    if (usable == 0 || free_.empty()) return result_.num_slots++;
    const Index slot = free_.front();
    free_.erase(free_.begin());
    return slot;
  }
  Index new_slot() { return result_.num_slots++; }

  /// Sources and addends that are plain maps, each once.
  void place_extra_maps() {
    for (const LaneStep& step : result_.steps) {
      if (step.source == RowSource::kMap) place_extra_map(step.input_slot, step.input);
      if (step.addend_derivative) place_extra_map(step.addend_slot, step.output);
    }
  }
  void place_extra_map(Index slot, MapShape shape) {
    for (const ExtraMap& map : result_.extra_maps) {
      if (map.slot == slot) return;
    }
    result_.extra_maps.push_back({slot, result_.num_extra_pixels, shape.num_pixels()});
    result_.num_extra_pixels += shape.num_pixels();
  }

  void size_buffers() {
    for (const Value& value : program_.values) {
      result_.slot_pixels = std::max(result_.slot_pixels, value.shape.num_pixels());
    }
    result_.slot_pixels += 1;  // it keeps slots off the same cache sets
    for (const LaneStep& step : result_.steps) {
      const WindowGeometry& g = step.geometry;
      const Index width = std::max(step.output.width, step.input.width) + 4;
      result_.row_vectors =
          std::max(result_.row_vectors, width + 2 * std::min<Index>(g.x.kernel_size, 8));
    }
    result_.scratch_vectors = kNumRowBuffers * result_.row_vectors + result_.sums_vectors;
  }

  MapShape shape(ValueId v) const { return program_.values[static_cast<std::size_t>(v)].shape; }
  int exponent(ValueId v) const { return exponents_[static_cast<std::size_t>(v)]; }
  Index slot_of(ValueId v) const { return result_.value_slots[static_cast<std::size_t>(v)]; }
  Index& uses(ValueId v) { return uses_[static_cast<std::size_t>(v)]; }
  Index uses(ValueId v) const { return uses_[static_cast<std::size_t>(v)]; }

  const Program& program_;
  bool keep_values_;
  const std::vector<int>& exponents_;  ///< by value
  bool may_use_table_;
  std::vector<Index> uses_;
  std::vector<bool>
      activation_reads_;  ///< values that an activation reads: a step applies one only
  std::vector<const ActivationOp*> relu_of_;  ///< relus whose reader applies them
  std::vector<const Conv2dOp*> fused_conv_;   ///< convolutions whose sum computes them
  std::vector<const Conv2dOp*> shortcut_;     ///< 1×1 convolutions that are a sum's addend
  std::vector<Index> free_;
  std::size_t free_at_start_ = 0;
  LaneProgram result_;
  TermCollector terms_;
};

}  // namespace

LaneSteps LaneProgram::view(ForwardMode mode) const {
  return {.steps = steps.data(),
          .num_steps = static_cast<Index>(steps.size()),
          .output_slot = output_slot,
          .channels = input.channels,
          .num_pixels = input.num_pixels(),
          .num_map_pixels = num_map_pixels,
          .num_extra_pixels = num_extra_pixels,
          .num_slots = num_slots,
          .slot_stride = slot_pixels,
          .row_vectors = row_vectors,
          .scratch_vectors = scratch_vectors,
          .keeps_values = keeps_values,
          .mode = mode};
}

LaneProgram compile_lanes(const Program& program, bool keep_values) {
  return compile_lanes(program, keep_values, value_exponents(program));
}

LaneProgram compile_lanes(const Program& program, bool keep_values,
                          const std::vector<int>& exponents) {
  LaneProgram result = Compiler(program, keep_values, exponents).run();
#ifdef GRAMTILE_CHECK_BUFFERS
  check_layout(result);
#endif
  return result;
}

}  // namespace gramtile
