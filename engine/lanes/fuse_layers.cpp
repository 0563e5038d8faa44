#include "engine/lanes/fuse_layers.hpp"

namespace gramtile {
namespace {

bool has_unit_window(const LaneStep& step) {
  return !step.pointwise() && !sums_whole_map(step) && is_unit_window(step.geometry);
}

/// What the step's sums along x need. Nothing where it has no window, or sums the whole map itself.
ScratchPlace sums_of(const LaneStep& step) {
  if (step.pointwise()) return {};
  ScratchPlace place;
  if (sums_whole_map(step)) {
    if (step.sums_ready) place = ScratchRoom::of_total();
  } else {
    place = has_unit_window(step) ? ScratchRoom::of(step.input, step.output)
                                  : ScratchRoom::of_ring(step);
  }
  place.offset = step.sums_offset;
  return place;
}

/// `step` reads the output of `writer` as its source.
bool continues(const LaneStep& writer, const LaneStep& step) {
  return step.source != RowSource::kImages && step.input_slot == writer.output_slot;
}

class Fuser {
 public:
  Fuser(LaneProgram& program, bool keep_values) : program_(program), keep_values_(keep_values) {}

  void run() {
    for (std::size_t i = 1; i < program_.steps.size(); ++i) {
      LaneStep& step = program_.steps[i];
      step.applied_before = applies_relu_of(program_.steps[i - 1], step);
      step.sums_ready = feeds_sums_of(program_.steps[i - 1], step);
      if (step.applied_before || step.sums_ready) drop_unread_output(i);
    }
    include_all_sums();
    for (std::size_t i = 0; i < program_.steps.size(); ++i) place_sums(i);
  }

 private:
  void include_all_sums() {
    ScratchRoom& room = program_.scratch_room;
    for (const LaneStep& step : program_.steps) {
      room.include(sums_of(step));
      if (!keep_values_ || step.pointwise() || sums_whole_map(step)) continue;
      room.include(ScratchRoom::of(step.output, step.input));  // a transposed unit window
      room.include(ScratchRoom::of_transposed(step));
    }
    program_.sums_vectors = room.size();
  }

  /// `step` is nothing but the relu of what the sums along y of `writer` give.
  static bool applies_relu_of(const LaneStep& writer, const LaneStep& step) {
    if (!step.pointwise() || !reads_relu(step) || !has_unit_window(writer)) return false;
    if (!continues(writer, step)) return false;
    // Its output must not overwrite what the writer has yet to read.
    return writer.sums_ready || writer.source == RowSource::kImages ||
           writer.input_slot != step.output_slot || can_run_in_place(writer);
  }

  /// `step` sums windows of the relu of what `writer` puts out, or of a relu without a window,
  /// which is at hand then, too.
  static bool feeds_sums_of(const LaneStep& writer, const LaneStep& step) {
    if (!continues(writer, step) || !(has_unit_window(step) || sums_whole_map(step))) return false;
    return writer.applied_before ? step.source == RowSource::kMap
                                 : reads_relu(step) && has_unit_window(writer);
  }

  void place_sums(std::size_t i) {
    LaneStep& step = program_.steps[i];
    const ScratchRoom& room = program_.scratch_room;
    if (!step.sums_ready) {
      step.sums_offset = room.place(sums_of(step));
      return;
    }
    // The step in whose loop they are made.
    const LaneStep& writer = program_.steps[i - (program_.steps[i - 1].applied_before ? 2 : 1)];
    step.sums_offset = sums_whole_map(step)
                           ? room.place_apart(sums_of(step), sums_of(writer))  // in use all along
                           : room.place_behind(sums_of(step), sums_of(writer), writer.geometry);
  }

  void drop_unread_output(std::size_t i) {
    LaneStep &writer = program_.steps[i - 1], &step = program_.steps[i];
    const bool read = output_is_read_besides(i - 1, i);
    writer.stores_output = keep_values_ || read;
    writer.haversine_suffices = step.sums_ready && reads_relu(step) && keep_values_ && !read &&
                                writer.addend_slot == kNoSlot && step.weight > kSmallestDivisor;
  }

  /// The output of step `writer` is read by others than step `reader`, as its source.
  bool output_is_read_besides(std::size_t writer, std::size_t reader) const {
    const Index slot = program_.steps[writer].output_slot;
    for (std::size_t i = writer + 1; i < program_.steps.size(); ++i) {
      const LaneStep& step = program_.steps[i];
      const bool source = i != reader && continues(program_.steps[writer], step);
      if (source || step.addend_slot == slot) return true;
      if (step.output_slot == slot) return false;
    }
    return slot == program_.output_slot;
  }

  LaneProgram& program_;
  bool keep_values_;
};

}  // namespace

void fuse_layers(LaneProgram& program, bool keep_values) { Fuser(program, keep_values).run(); }

}  // namespace gramtile
