#include "engine/lanes/reverse_program.hpp"

#include <algorithm>

#include "engine/lanes/layout_checker.hpp"

namespace gramtile {
namespace {

/// The adjoint of the source may overwrite the adjoint of the output: rows are written only after
/// the rows at their place have been read.
bool in_place(const LaneStep& step) { return step.input == step.output; }

/// The padding mirrored, of an axis whose windows go one pixel a step from `input` to `output`.
WindowAxis transposed(WindowAxis axis, Index input, Index output) {
  const Index reach = axis.kernel_size - 1;
  axis.pad_low = reach - axis.pad_low;
  axis.pad_high = input - output - axis.pad_low + reach;
  return axis;
}

/// The geometry of T.
WindowGeometry transposed(const LaneStep& step) {
  const WindowGeometry& g = step.geometry;
  return {.y = transposed(g.y, step.input.height, step.output.height),
          .x = transposed(g.x, step.input.width, step.output.width),
          .circular = g.circular};
}

bool transposes_to_window(const WindowAxis& axis, const WindowAxis& back) {
  return axis.stride == 1 && axis.dilation == 1 && axis.kernel_size <= 7 && back.pad_low >= 0 &&
         back.pad_high >= 0;
}

/// T is a window sum of the output's adjoint, one pixel a step.
bool transposes_to_window(const LaneStep& step) {
  const WindowGeometry &g = step.geometry, t = transposed(step);
  return !step.pointwise() && !sums_whole_map(step) && transposes_to_window(g.y, t.y) &&
         transposes_to_window(g.x, t.x);
}

/// Walks the steps backwards and gives every value's adjoint a slot while it lives.
class Reverser {
 public:
  Reverser(const LaneProgram& forward, const Program& program)
      : forward_(forward), adjoint_of_(static_cast<std::size_t>(forward.num_slots), kNoSlot) {
    result_.forward = &forward;
    result_.num_parameters = static_cast<Index>(program.parameters.size());
  }

  ReverseProgram run() {
    result_.seed_adjoint = adjoint_of(forward_.output_slot) = new_slot();
    for (auto step = forward_.steps.rbegin(); step != forward_.steps.rend(); ++step) reverse(*step);
    fuse_steps();
    for (std::size_t i = 0; i + 1 < result_.steps.size(); ++i) {
      const LaneStep& writer = result_.steps[i + 1].forward;
      result_.steps[i].from_haversines =
          result_.steps[i].forward.sums_ready && writer.haversine_suffices;
      result_.steps[i].ends =
          result_.steps[i].from_haversines && writer.source == RowSource::kImages;
    }
    if (result_.steps.size() > 1) result_.can_turn = turns(result_.steps[0]);
    const auto last = static_cast<Index>(forward_.steps.size()) - 1;
    for (DerivativeTerm term : forward_.terms) {
      term.step = last - term.step;
      result_.terms.push_back(term);
    }
    result_.mixtures = forward_.mixtures;
    for (MixtureTerms& mixture : result_.mixtures) {
      for (auto& branch : mixture.branches) branch.step = last - branch.step;
    }
    for (const LaneStep& step : forward_.steps) {
      const Index width = std::max(step.input.width, step.output.width);
      result_.group_vectors = std::max(result_.group_vectors, kGroupRows * width);
    }
    return std::move(result_);
  }

 private:
  void reverse(const LaneStep& forward) {
    ReverseStep step;
    step.forward = forward;
    step.is_window = transposes_to_window(forward);
    if (step.is_window) step.transposed = transposed(forward);
    step.output_adjoint = adjoint_of(forward.output_slot);
    if (forward.addend_slot != kNoSlot) reverse_addend(step);
    bool output_lives = step.adjoint_stays;
    if (forward.source != RowSource::kImages) {
      Index& source = adjoint_of(forward.input_slot);
      step.source_first = source == kNoSlot;
      if (step.source_first) {
        const bool reuse = !output_lives && in_place(forward);
        source = reuse ? step.output_adjoint : new_slot();
        output_lives = output_lives || reuse;
      }
      step.source_adjoint = source;
    }
    if (!output_lives) free_.push_back(step.output_adjoint);
    if (forward.source == RowSource::kMap) step.source_variance = extra_offset(forward.input_slot);
    if (forward.addend_derivative) step.addend_variance = extra_offset(forward.addend_slot);
    result_.steps.push_back(step);
  }

  void reverse_addend(ReverseStep& step) {
    const LaneStep& forward = step.forward;
    Index& addend = adjoint_of(forward.addend_slot);
    step.addend_first = addend == kNoSlot;
    const bool identity = forward.addend_weight == 1 && !forward.addend_derivative;
    if (forward.addend_slot == forward.output_slot || (identity && step.addend_first)) {
      addend = step.output_adjoint;
      step.adjoint_stays = true;
      return;
    }
    if (step.addend_first) addend = new_slot();
    step.addend_adjoint = addend;
  }

  /// Lets steps sum the adjoint that they make along x for the step that runs next.
  void fuse_steps() {
    const ScratchRoom& room = forward_.scratch_room;
    for (std::size_t i = 0; i < result_.steps.size(); ++i) {
      ReverseStep& step = result_.steps[i];
      if (!transposes_to_unit_window(step)) continue;
      const ScratchPlace place = ScratchRoom::of(step.forward.output, step.forward.input);
      step.sums_offset = room.place(place);
      if (i == 0 || !continues(result_.steps[i - 1], step)) continue;
      step.sums_ready = true;
      const ReverseStep& previous = result_.steps[i - 1];
      if (transposes_to_unit_window(previous)) {
        ScratchPlace read = ScratchRoom::of(previous.forward.output, previous.forward.input);
        read.offset = previous.sums_offset;
        step.sums_offset = room.place_behind(place, read, previous.transposed);
      } else if (i == 1) {  // a turn reads those of this step, forwards
        ScratchPlace read = ScratchRoom::of(step.forward.input, step.forward.output);
        read.offset = step.forward.sums_offset;
        step.sums_offset = room.place_behind(place, read, step.forward.geometry);
      }
    }
  }

  static bool transposes_to_unit_window(const ReverseStep& step) {
    return step.is_window && is_unit_window(step.transposed) &&
           !is_whole_window(step.transposed, step.forward.output, step.forward.input);
  }

  /// `next` does nothing with the adjoint that `step` completes but sum it.
  static bool continues(const ReverseStep& step, const ReverseStep& next) {
    const LaneStep& f = step.forward;
    return reads_relu(f) &&
           (f.pointwise() || sums_whole_map(f) || transposes_to_unit_window(step)) &&
           step.source_adjoint == next.output_adjoint && next.addend_adjoint == kNoSlot;
  }

  /// Behind the last relu there is one window over the whole map, so that its adjoint is known
  /// before its value; and the map in front of it is made in one loop with it.
  static bool turns(const ReverseStep& step) {
    const LaneStep& f = step.forward;
    return step.from_haversines && sums_whole_map(f) && f.addend_slot == kNoSlot;
  }

  Index extra_offset(Index slot) const {
    for (const ExtraMap& map : forward_.extra_maps) {
      if (map.slot == slot) return map.offset;
    }
    return kNoSlot;
  }

  Index new_slot() {
    if (free_.empty()) return result_.num_adjoints++;
    const Index slot = free_.back();
    free_.pop_back();
    return slot;
  }

  Index& adjoint_of(Index slot) { return adjoint_of_[static_cast<std::size_t>(slot)]; }

  const LaneProgram& forward_;
  std::vector<Index> adjoint_of_;  ///< by forward slot
  std::vector<Index> free_;
  ReverseProgram result_;
};

}  // namespace

ReverseSteps ReverseProgram::view(ForwardMode mode) const {
  return {.forward = forward->view(mode),
          .steps = steps.data(),
          .num_steps = static_cast<Index>(steps.size()),
          .seed_adjoint = seed_adjoint,
          .num_adjoints = num_adjoints};
}

ReverseProgram reverse_lanes(const LaneProgram& forward, const Program& program) {
  ReverseProgram result = Reverser(forward, program).run();
#ifdef GRAMTILE_CHECK_BUFFERS
  check_layout(forward, result);
#endif
  return result;
}

}  // namespace gramtile
