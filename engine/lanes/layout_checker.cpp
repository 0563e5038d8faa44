#include "engine/lanes/layout_checker.hpp"

#include <fmt/format.h>

#include <optional>
#include <stdexcept>

#include "engine/lanes/layout_memory.hpp"

namespace gramtile {
namespace {

using layout::Columns;
using layout::Consumer;
using layout::Memory;
using layout::Next;
using layout::Rows;
using layout::Scratch;
using layout::Source;
using layout::Tag;
using layout::Window;

std::size_t as_size(Index n) { return static_cast<std::size_t>(n); }

void require(bool holds, const char* what) {
  if (!holds) throw std::logic_error(what);
}

/// The maps in slots, each pixel tagged with its place in its map.
class Slots {
 public:
  Slots(std::string_view name, Index num_slots, Index slot_pixels)
      : slot_pixels_(slot_pixels), memory_(name, num_slots * slot_pixels) {}

  void write(Index slot, const MapShape& map, const Rows& rows, const Columns& columns,
             std::int64_t owner) {
    each(slot, map, rows, columns, [&](Index at, Index pixel) {
      memory_.write(at, 1, {owner, pixel});
    });
  }
  void read(Index slot, const MapShape& map, const Rows& rows, const Columns& columns,
            std::int64_t owner) const {
    each(slot, map, rows, columns, [&](Index at, Index pixel) {
      memory_.read(at, 1, {owner, pixel});
    });
  }

 private:
  template <class Do>
  void each(Index slot, const MapShape& map, const Rows& rows, const Columns& columns,
            const Do& do_it) const {
    require(slot >= 0 && map.num_pixels() <= slot_pixels_, "a map is larger than a slot");
    for (Index y = rows.first; y < rows.first + rows.count; ++y) {
      const PixelRow row = pixel_row(map, y);
      for (Index x = columns.from; x < columns.to; ++x) {
        do_it(slot * slot_pixels_ + row[x], y * map.width + x);
      }
    }
  }
  Index slot_pixels_;
  Memory memory_;
};

/// What a forward pass is run with: which tape it keeps, and how the kernels cut groups.
struct Mode {
  bool splits = false;  ///< of an instruction set that takes groups in two parts
  ForwardMode forward = ForwardMode::kKernel;
  bool variances = false;  ///< the pass of variances: every step by itself, every map stored
};

Rows all_rows(const MapShape& map) { return {0, map.height}; }
Columns all_columns(const MapShape& map) { return {0, map.width}; }

class ForwardCheck {
 public:
  ForwardCheck(const LaneProgram& program, const Mode& mode)
      : program_(program),
        mode_(mode),
        slots_("slots", program.num_slots, program.slot_pixels),
        scratch_(program.row_vectors, program.sums_vectors) {}

  void run() {
    const Index num_steps = static_cast<Index>(program_.steps.size()) - num_left(mode_.forward);
    for (Index i = 0; i < num_steps;) {
      require(step(i).source != RowSource::kPoint || step(i).addend_slot == kNoSlot,
              "a point step has an addend");
      const LaneStep* const next = step_or_null(i + 1);
      const bool applies = next != nullptr && next->applied_before && !mode_.variances;
      const LaneStep* const after = step_or_null(i + (applies ? 2 : 1));
      const bool feeds = after != nullptr && after->sums_ready && !mode_.variances;
      run_loop(i, applies, feeds);
      i += applies ? 2 : 1;
    }
    if (num_left(mode_.forward) == 0) {
      const MapShape& map = program_.steps.back().output;
      slots_.read(program_.output_slot, map, all_rows(map), all_columns(map),
                  owner_of(program_.output_value));
    }
  }

  const Slots& slots() const { return slots_; }
  Scratch& scratch() { return scratch_; }

  /// Who made what a value's slot holds.
  std::int64_t owner_of(ValueId value) const {
    require(as_size(value) < made_by_.size() && made_by_[as_size(value)] != 0,
            "a value is read that no step has made");
    return made_by_[as_size(value)];
  }

  Window window_of(Index i) const {
    const LaneStep& s = step(i);
    return {s.input, s.output, s.geometry, s.sums_offset, s.sums_ready && !mode_.variances, i + 1};
  }

  /// The rows of step i's source.
  class StepSource : public Source {
   public:
    StepSource(const ForwardCheck& check, Index i) : check_(check), i_(i) {}
    void take(const Rows& rows) override {
      const LaneStep& s = check_.step(i_);
      if (s.source == RowSource::kImages) return;
      require(s.source != RowSource::kPoint || s.pointwise(), "a point step has a window");
      check_.slots_.read(s.input_slot, s.input, rows, all_columns(s.input),
                         check_.owner_of(check_.values(i_).source));
    }

   private:
    const ForwardCheck& check_;
    Index i_;
  };

 private:
  /// The outputs of step i, and of the relu behind it where that is applied in the same loop.
  class StepConsumer : public Consumer {
   public:
    StepConsumer(ForwardCheck& check, Index i, bool applies, const Next* next)
        : check_(check), i_(i), applies_(applies), next_(next) {}
    void take(const Rows& rows, const Columns& columns) override {
      // A step whose output nobody else takes stores it in any case.
      const bool stores = check_.step(i_).stores_output || (!applies_ && next_ == nullptr);
      check_.make(i_, rows, columns, stores);
      if (applies_) check_.make(i_ + 1, rows, columns, check_.step(i_ + 1).stores_output);
    }
    const Next* next() const override { return next_; }

   private:
    ForwardCheck& check_;
    Index i_;
    bool applies_;
    const Next* next_;
  };

  void run_loop(Index i, bool applies, bool feeds) {
    // What is read is what was made before this loop, what is made is this loop's.
    for (Index k = i; k <= i + (applies ? 1 : 0); ++k) begin(k);
    if (applies) {
      require(values(i + 1).source == values(i).output, "a relu is applied to another value");
      require(step(i + 1).pointwise() && step(i + 1).output == step(i).output,
              "a step with a window is applied in the loop before");
    }
    std::optional<Next> next;
    if (feeds) {
      const Index last = i + (applies ? 1 : 0);
      require(values(last + 1).source == values(last).output &&
                  step(last + 1).input == step(last).output,
              "sums are made of another value than they are read of");
      require(window_of(i).unit(), "sums are made by a loop that cannot");
      require(step(last + 1).source != RowSource::kPoint, "a point step is given sums");
      const bool haversines = keeps_haversines(mode_.forward) && step(i).haversine_suffices;
      next.emplace(scratch_, window_of(last + 1), mode_.splits && !applies && haversines);
      next->start();
    }
    StepSource source(*this, i);
    StepConsumer consumer(*this, i, applies, next ? &*next : nullptr);
    if (step(i).pointwise()) {
      layout::run_pixels(scratch_, step(i).output, source, consumer);
    } else {
      layout::run_window(scratch_, window_of(i), source, consumer);
    }
  }

  /// From now on the output of step i is the latest of its value; its addend is what was before.
  void begin(Index i) {
    const StepValues& v = values(i);
    const std::size_t needed = as_size(std::max({v.source, v.addend, v.output})) + 1;
    if (made_by_.size() < needed) made_by_.resize(needed, 0);
    addend_owner_.resize(program_.steps.size(), 0);
    if (step(i).addend_slot != kNoSlot) addend_owner_[as_size(i)] = owner_of(v.addend);
    made_by_[as_size(v.output)] = i + 1;
  }

  void make(Index i, const Rows& rows, const Columns& columns, bool stores) {
    const LaneStep& s = step(i);
    if (s.addend_slot != kNoSlot) {
      slots_.read(s.addend_slot, s.output, rows, columns, addend_owner_[as_size(i)]);
    }
    if (stores) slots_.write(s.output_slot, s.output, rows, columns, i + 1);
  }

  const LaneStep& step(Index i) const { return program_.steps[as_size(i)]; }
  const StepValues& values(Index i) const { return program_.step_values[as_size(i)]; }
  const LaneStep* step_or_null(Index i) const {
    return i < static_cast<Index>(program_.steps.size()) ? &step(i) : nullptr;
  }

  const LaneProgram& program_;
  Mode mode_;
  Slots slots_;
  Scratch scratch_;
  std::vector<std::int64_t> made_by_;       ///< by value: 1 + the step that made it last
  std::vector<std::int64_t> addend_owner_;  ///< by step
};

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
  class AdjointSource : public Source {
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
