// Inside of the layout checker: a forward pass replayed, also where a way back needs what it left.
#pragma once

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "engine/lanes/lane_program.hpp"
#include "engine/lanes/layout_memory.hpp"

namespace gramtile::layout {

inline void require(bool holds, const char* what) {
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

inline Rows all_rows(const MapShape& map) { return {0, map.height}; }
inline Columns all_columns(const MapShape& map) { return {0, map.width}; }

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

}  // namespace gramtile::layout
