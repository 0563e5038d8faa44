#include "engine/lanes/layout_checker.hpp"

#include <optional>

#include "engine/lanes/layout_forward.hpp"

namespace gramtile {
namespace {

using layout::all_columns, layout::all_rows, layout::require;
using layout::Columns, layout::Consumer, layout::ForwardCheck, layout::Next, layout::Rows;
using layout::Scratch, layout::Slots, layout::Window;

/// Adjoints are tagged with their value and the number of readers that have contributed.
class ReverseCheck {
 public:
  ReverseCheck(const LaneProgram& tape, const ReverseProgram& reverse, bool gradient, bool splits)
      : tape_(tape),
        reverse_(reverse),
        gradient_(gradient),
        splits_(splits),
        turns_(gradient && reverse.can_turn),
        forward_(tape, {.splits = splits, .forward = forward_mode(gradient, turns_)}),
        adjoints_("adjoints", reverse.num_adjoints, tape.slot_pixels),
        num_contributions_(as_size(num_values()), 0),
        num_readers_(as_size(num_values()), 0) {
    for (std::size_t i = 0; i < tape.steps.size(); ++i) {
      const LaneStep& step = tape.steps[i];
      const StepValues& v = tape.step_values[i];
      if (step.source != RowSource::kImages) ++num_readers_[as_size(v.source)];
      if (step.addend_slot != kNoSlot && v.addend != v.output) ++num_readers_[as_size(v.addend)];
    }
  }

  void run() {
    forward_.run();
    const MapShape& map = tape_.steps.back().output;  // one pixel, but for tests of parts
    adjoints_.write(reverse_.seed_adjoint, map, all_rows(map), all_columns(map),
                    complete(tape_.output_value));
    for (Index i = 0; i < static_cast<Index>(reverse_.steps.size()); ++i) {
      const bool ends = gradient_ && step(i).ends;
      run_loop(i, ends);
      if (ends) ++i;
    }
  }

 private:
  static ForwardMode forward_mode(bool gradient, bool turns) {
    if (!gradient) return ForwardMode::kJacobian;
    return turns ? ForwardMode::kGradientTurn : ForwardMode::kGradient;
  }
  std::int64_t tag(ValueId value, Index contributions) const {
    return 1 + value * (static_cast<Index>(tape_.steps.size()) * 2 + 2) + contributions;
  }
  /// All readers of the value have contributed.
  std::int64_t complete(ValueId value) const { return tag(value, num_readers_[as_size(value)]); }
  std::int64_t present(ValueId value) const {
    return tag(value, num_contributions_[as_size(value)]);
  }

  /// The adjoint of step i's output, and on the way its part in the addend's.
  class AdjointSource : public layout::Source {
   public:
    AdjointSource(ReverseCheck& check, Index i) : check_(check), i_(i) {}
    void take(const Rows& rows) override {
      const ReverseStep& s = check_.step(i_);
      const StepValues& v = check_.values(i_);
      const MapShape& map = s.forward.output;
      check_.adjoints_.read(s.output_adjoint, map, rows, all_columns(map),
                            check_.complete(v.output));
      if (s.forward.addend_derivative) {
        check_.forward_.slots().read(s.forward.addend_slot, map, rows, all_columns(map),
                                     check_.forward_.owner_of(v.addend));
      }
      const Index before = check_.num_contributions_[as_size(v.addend)] - 1;
      if (s.adjoint_stays && v.addend != v.output) {
        check_.adjoints_.write(s.output_adjoint, map, rows, all_columns(map),
                               check_.tag(v.addend, before + 1));
      }
      if (s.addend_adjoint == kNoSlot) return;
      require(s.addend_first == (before == 0), "an addend's first adjoint is not the first");
      if (!s.addend_first) {
        check_.adjoints_.read(s.addend_adjoint, map, rows, all_columns(map),
                              check_.tag(v.addend, before));
      }
      check_.adjoints_.write(s.addend_adjoint, map, rows, all_columns(map),
                             check_.tag(v.addend, before + 1));
    }

   private:
    ReverseCheck& check_;
    Index i_;
  };

  /// The adjoint of step i's source: into its map, or the rows of the next step.
  class SourceConsumer : public Consumer {
   public:
    SourceConsumer(ReverseCheck& check, Index i, bool ends, const Next* next)
        : check_(check), i_(i), ends_(ends), next_(next) {}
    void take(const Rows& rows, const Columns& columns) override {
      const ReverseStep& s = check_.step(i_);
      const LaneStep& f = s.forward;
      if (f.source == RowSource::kImages) return;
      const ValueId value = check_.values(i_).source;
      if (!(i_ == 0 && check_.turns_)) {
        check_.forward_.slots().read(f.input_slot, f.input, rows, columns,
                                     check_.forward_.owner_of(value));
      }
      if (ends_) return;
      // The addend can be the same value, and has contributed then.
      const Index before = check_.num_contributions_[as_size(value)];
      require(s.source_first == (before == 0), "a source's first adjoint is not the first");
      if (!s.source_first) {
        check_.adjoints_.read(s.source_adjoint, f.input, rows, columns, check_.tag(value, before));
      }
      const bool stores = next_ == nullptr || check_.step(i_ + 1).adjoint_stays;
      if (stores) {
        check_.adjoints_.write(s.source_adjoint, f.input, rows, columns,
                               check_.tag(value, before + 1));
      }
    }
    const Next* next() const override { return next_; }

   private:
    ReverseCheck& check_;
    Index i_;
    bool ends_;
    const Next* next_;
  };

  void run_loop(Index i, bool ends) {
    const ReverseStep& s = step(i);
    const bool turn = i == 0 && turns_;
    begin(i);
    std::optional<Next> next;
    if (!ends && i + 1 < static_cast<Index>(reverse_.steps.size()) && step(i + 1).sums_ready) {
      require(values(i + 1).output == values(i).source, "sums are made of another adjoint");
      const ValueId value = values(i).source;
      require(tag(value, num_contributions_[as_size(value)] + 1) == complete(value),
              "an adjoint is summed that is not complete");
      next.emplace(scratch(), transposed_of(i + 1), splits_);
      next->start();
    }
    SourceConsumer consumer(*this, i, ends, next ? &*next : nullptr);
    if (turn) {
      const Index writer = static_cast<Index>(tape_.steps.size()) - 2;
      ForwardCheck::StepSource source(forward_, writer);
      layout::run_window(scratch(), forward_.window_of(writer), source, consumer);
    } else {
      AdjointSource source(*this, i);
      run_transposed(i, source, consumer);
    }
    if (s.forward.source != RowSource::kImages && !ends) {
      ++num_contributions_[as_size(values(i).source)];
    }
  }

  void run_transposed(Index i, AdjointSource& source, SourceConsumer& consumer) {
    const ReverseStep& s = step(i);
    const LaneStep& f = s.forward;
    if (s.is_window) return layout::run_window(scratch(), transposed_of(i), source, consumer);
    if (f.pointwise()) return layout::run_pixels(scratch(), f.input, source, consumer);
    if (is_whole_window(f.geometry, f.input, f.output)) {
      source.take({0, 1});
      return layout::hand_over(f.input, consumer);
    }
    scratch().require_columns(f.output.width);
    for (Index y = 0; y < f.output.height; ++y) {
      source.take({y, 1});
      scratch().sums().write(s.sums_offset + y * f.input.width, f.input.width,
                             {sums_owner(i), y * f.input.width});
    }
    scratch().sums().read(s.sums_offset, f.output.height * f.input.width, {sums_owner(i), 0});
    layout::hand_over(f.input, consumer);
  }

  /// The addend's adjoint gets its part as the output's is read. One that stays is the addend's
  /// from then on; where nobody reads it any more, because it is summed already, from now on.
  void begin(Index i) {
    const ReverseStep& s = step(i);
    const StepValues& v = values(i);
    if (s.forward.addend_slot == kNoSlot) return;
    if (s.sums_ready) {
      require(s.addend_adjoint == kNoSlot, "an adjoint that is summed has an addend's to make");
    }
    if (v.addend == v.output) return;
    const Index now = ++num_contributions_[as_size(v.addend)];
    if (!s.adjoint_stays || !s.sums_ready) return;
    const MapShape& map = s.forward.output;
    adjoints_.read(s.output_adjoint, map, all_rows(map), all_columns(map), complete(v.output));
    adjoints_.write(s.output_adjoint, map, all_rows(map), all_columns(map), tag(v.addend, now));
  }

  /// Sums of adjoints, unlike those of the forward pass, which a turn reads.
  std::int64_t sums_owner(Index i) const { return -1 - i; }
  Window transposed_of(Index i) const {
    const ReverseStep& s = step(i);
    return {s.forward.output, s.forward.input, s.transposed,
            s.sums_offset,    s.sums_ready,    sums_owner(i)};
  }
  Index num_values() const {
    ValueId last = tape_.output_value;
    for (const StepValues& v : tape_.step_values) last = std::max(last, v.output);
    return last + 1;
  }
  const ReverseStep& step(Index i) const { return reverse_.steps[as_size(i)]; }
  const StepValues& values(Index i) const {
    return tape_.step_values[tape_.step_values.size() - 1 - as_size(i)];
  }
  Scratch& scratch() { return forward_.scratch(); }

  const LaneProgram& tape_;
  const ReverseProgram& reverse_;
  bool gradient_, splits_, turns_;
  ForwardCheck forward_;
  Slots adjoints_;
  std::vector<Index> num_contributions_;  ///< by value: readers whose part its adjoint has
  std::vector<Index> num_readers_;        ///< by value
};

}  // namespace

void check_layout(const LaneProgram& program) {
  ForwardCheck(program, {.variances = true}).run();
  for (const bool splits : {false, true}) ForwardCheck(program, {.splits = splits}).run();
}

void check_layout(const LaneProgram& tape, const ReverseProgram& reverse) {
  ForwardCheck(tape, {.variances = true}).run();
  for (const bool splits : {false, true}) {
    ForwardCheck(tape, {.splits = splits, .forward = ForwardMode::kJacobian}).run();
    for (const bool gradient : {false, true}) {
      ReverseCheck(tape, reverse, gradient, splits).run();
    }
  }
}

}  // namespace gramtile
