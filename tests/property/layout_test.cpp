// No buffer of a lane program gets in another's way: the layout checker over whole families of
// networks, and that it sees faults.
#include <doctest/doctest.h>

#include <cstdlib>
#include <optional>
#include <stdexcept>
#include <vector>

#include "engine/core/errors.hpp"
#include "engine/lanes/layout_checker.hpp"
#include "engine/network/presets.hpp"
#include "tests/support/lane_runs.hpp"
#include "tests/support/random_network.hpp"
#include "tests/support/short_form.hpp"

namespace gramtile::test::layout_test {
namespace {

/// Programs of networks are checked without their powers of two, which do not matter here.
void check(const Program& program) {
  const std::vector<int> exponents(program.values.size(), 0);
  check_layout(compile_lanes(program, false, exponents));
  const LaneProgram tape = compile_lanes(program, true, exponents);
  check_layout(tape, reverse_lanes(tape, program));
}

template <class Kind>
Layer layer(Kind kind) {
  return {std::move(kind)};
}

/// conv, relu, conv, relu, … dense; nothing where a window does not fit.
std::optional<Program> chain(MapShape shape, const std::vector<Conv2d>& convs) {
  Network network;
  for (const Conv2d& conv : convs) {
    network.layers.push_back(layer(conv));
    network.layers.push_back(layer(Relu{}));
  }
  network.layers.push_back(layer(Dense{}));
  try {
    return lower(network, {.channels = 1, .height = shape.height, .width = shape.width});
  } catch (const NetworkError&) {
    return std::nullopt;
  }
}

/// −1 for "same", −2 for "circular".
Index number_of(const Padding& padding) {
  if (padding.kind == Padding::Kind::kZeros) return padding.amount.y;
  return padding.kind == Padding::Kind::kSame ? -1 : -2;
}

constexpr Index kSizes = 32;
const std::vector<Padding> kPaddings = {{}, Padding::circular(), 0, 1, 2, 3, 4};

/// Calls do_it(conv) for every kernel of 1 to 9, stride and dilation of 1 to 3, and padding.
template <class Do>
void for_each_conv(const Do& do_it) {
  for (Index kernel = 1; kernel <= 9; ++kernel) {
    for (Index stride = 1; stride <= 3; ++stride) {
      for (Index dilation = 1; dilation <= 3; ++dilation) {
        for (const auto& padding : kPaddings) {
          do_it(Conv2d{
              .kernel_size = kernel, .stride = stride, .padding = padding, .dilation = dilation});
        }
      }
    }
  }
}

/// All of the family where GRAMTILE_LAYOUTS is "all" (tests/campaigns), else every `nth`.
bool all_layouts() {
  const char* const asked = std::getenv("GRAMTILE_LAYOUTS");
  return asked != nullptr && std::string_view(asked) == "all";
}

class Sample {
 public:
  explicit Sample(Index nth) : nth_(all_layouts() ? 1 : many_or_few(nth, 30 * nth + 1)) {}
  bool takes() { return seen_++ % nth_ == 0; }
  void check(const std::optional<Program>& program) {
    if (!program) return;
    ++num_checked_;
    layout_test::check(*program);
  }
  Index num_checked() const { return num_checked_; }

 private:
  Index nth_, seen_ = 0, num_checked_ = 0;
};

/// Layers after which sums have gone down through their room twice: three maps of sums are room for
/// so many steps of a padding.
Index depth_of_two_rounds(Index size, Index padding) {
  return padding == 0 ? 8 : std::min<Index>(2 * 3 * size / padding + 3, 200);
}

}  // namespace

TEST_SUITE("reference") {  // no kernel runs here

  TEST_CASE("layouts of chains of one convolution of any geometry, on maps of 1 to 32, are sound") {
    Sample sample(7);
    for (Index size = 1; size <= kSizes; ++size) {
      for_each_conv([&](const Conv2d& conv) {
        for (const Index depth : {1, 2, 3}) {
          if (!sample.takes()) continue;
          CAPTURE(size);
          CAPTURE(conv.kernel_size.y);
          CAPTURE(conv.stride.y);
          CAPTURE(conv.dilation.y);
          CAPTURE(number_of(conv.padding));
          CAPTURE(depth);
          sample.check(
              chain({size, size}, std::vector<Conv2d>(static_cast<std::size_t>(depth), conv)));
        }
      });
    }
    CHECK(sample.num_checked() > 0);
    MESSAGE(sample.num_checked() << " networks checked");
  }

  TEST_CASE("layouts of chains of equal convolutions, of every depth of two rounds, are sound") {
    Sample sample(97);
    for (Index size = 1; size <= kSizes; ++size) {
      for (const Index kernel : {2, 3, 4, 5, 7}) {
        for (const auto& padding : kPaddings) {
          const Conv2d conv{.kernel_size = kernel, .padding = padding};
          const Index most = depth_of_two_rounds(
              size, padding.kind == Padding::Kind::kZeros ? padding.amount.y : kernel / 2);
          for (Index depth = 1; depth <= most; ++depth) {
            if (!sample.takes()) continue;
            CAPTURE(size);
            CAPTURE(kernel);
            CAPTURE(number_of(padding));
            CAPTURE(depth);
            sample.check(
                chain({size, size}, std::vector<Conv2d>(static_cast<std::size_t>(depth), conv)));
          }
        }
      }
    }
    CHECK(sample.num_checked() > 0);
    MESSAGE(sample.num_checked() << " networks checked");
  }

  TEST_CASE("layouts of pairs of different windows, one behind the other, are sound") {
    Sample sample(41);
    std::vector<Conv2d> convs;
    for (const Index kernel : {1, 2, 3, 4, 5, 6, 7}) {
      for (const auto& padding : kPaddings) {
        convs.push_back({.kernel_size = kernel, .padding = padding});
      }
    }
    for (Index size = 1; size <= kSizes; ++size) {
      for (const Conv2d& first : convs) {
        for (const Conv2d& second : convs) {
          if (!sample.takes()) continue;
          CAPTURE(size);
          CAPTURE(first.kernel_size.y);
          CAPTURE(number_of(first.padding));
          CAPTURE(second.kernel_size.y);
          CAPTURE(number_of(second.padding));
          sample.check(chain({size, size}, {first, second, first, second}));
        }
      }
    }
    CHECK(sample.num_checked() > 0);
    MESSAGE(sample.num_checked() << " networks checked");
  }

  TEST_CASE("layouts of windows that are unequal along the axes, on maps of any sides, are sound") {
    Sample sample(23);
    std::vector<Conv2d> convs;
    for (const Index ky : {1, 2, 3, 5, 6, 7}) {
      for (const Index kx : {1, 2, 3, 4, 7}) {
        for (const Padding& padding :
             {Padding(), Padding::circular(), Padding(0), Padding(PerAxis{2, 1})}) {
          for (const PerAxis& stride : {PerAxis(1), PerAxis{2, 1}})
            convs.push_back({.kernel_size = {ky, kx}, .stride = stride, .padding = padding});
        }
      }
    }
    for (const MapShape map : {MapShape{1, 1}, {1, 30}, {30, 1}, {4, 27}, {27, 4}, {13, 13}}) {
      for (const Conv2d& first : convs) {
        for (const Conv2d& second : convs) {
          if (!sample.takes()) continue;
          CAPTURE(map.height);
          CAPTURE(map.width);
          CAPTURE(first.kernel_size.y);
          CAPTURE(first.kernel_size.x);
          CAPTURE(number_of(first.padding));
          CAPTURE(second.kernel_size.y);
          CAPTURE(second.kernel_size.x);
          CAPTURE(number_of(second.padding));
          sample.check(chain(map, {first, second, first, second, first}));
        }
      }
    }
    CHECK(sample.num_checked() > 0);
    MESSAGE(sample.num_checked() << " networks checked");
  }

  TEST_CASE("layouts of random nested networks and of the presets are sound") {
    Index num_checked = 0;
    const Index most = all_layouts() ? 100'000 : many_or_few(3'000, 200);
    for (Index seed = 0; seed < most; ++seed, ++num_checked) {
      CAPTURE(seed);
      check(random_case(static_cast<std::uint64_t>(seed)).program());
    }
    for (const char* name : {"convnet-gp", "residual-cnn-gp", "resnet32-gp"}) {
      check(lower(*preset_network(name), {.channels = 1, .height = 28, .width = 28}));
    }
    check(
        lower(*preset_network("resnet32-gp-cifar10"), {.channels = 3, .height = 32, .width = 32}));
    MESSAGE(num_checked << " random networks checked");
  }

  namespace {

  /// Depth 9 of kernel 5 on 8×8: the sums of the last layer but one stand at the start of their
  /// room.
  Program nine_layers() { return *chain({8, 8}, std::vector<Conv2d>(9, Conv2d{.kernel_size = 5})); }

  bool is_refused(const LaneProgram& program) {
    try {
      check_layout(program);
    } catch (const std::logic_error&) {
      return true;
    }
    return false;
  }

  }  // namespace

  TEST_CASE("the checker sees every place of sums that is moved to where others are read") {
    const LaneProgram sound = compile_lanes(nine_layers(), false);
    REQUIRE_FALSE(is_refused(sound));
    for (std::size_t i = 1; i < sound.steps.size(); ++i) {
      CAPTURE(i);
      LaneProgram moved = sound;
      // On the sums that are read while these are made.
      moved.steps[i].sums_offset = sound.steps[i - 1].sums_offset;
      CHECK(is_refused(moved));
      // Outside.
      moved.steps[i].sums_offset = sound.sums_vectors;
      CHECK(is_refused(moved));
      moved.steps[i].sums_offset = -1;
      CHECK(is_refused(moved));
    }
  }

  TEST_CASE("the checker sees sums over the first rows of a map that windows go round") {
    Conv2d conv{.kernel_size = 5, .padding = Padding::circular()};
    const LaneProgram sound = compile_lanes(*chain({8, 8}, std::vector<Conv2d>(5, conv)), false);
    REQUIRE_FALSE(is_refused(sound));
    Index num_moved = 0;
    for (std::size_t i = 1; i < sound.steps.size(); ++i) {
      LaneProgram moved = sound;
      LaneStep& step = moved.steps[i];
      if (!step.sums_ready || sums_whole_map(step)) continue;
      // Behind the rows that are read, as it would do for windows that end at the map's edge.
      const LaneStep& writer = sound.steps[i - 1];
      step.sums_offset =
          writer.sums_offset - writer.geometry.y.pad_low * sums_stride(writer.output);
      if (step.sums_offset < 0) continue;
      ++num_moved;
      CHECK(is_refused(moved));
    }
    CHECK(num_moved > 0);
  }

  TEST_CASE("the checker sees a buffer that is too small, and a slot that another value has") {
    const LaneProgram sound = compile_lanes(nine_layers(), false);
    LaneProgram narrow = sound;
    narrow.row_vectors = 8;
    CHECK(is_refused(narrow));
    LaneProgram small = sound;
    small.sums_vectors = 8 * 8;
    CHECK(is_refused(small));
    const LaneProgram residual = compile_lanes(
        lower(*preset_network("residual-cnn-gp"), {.channels = 1, .height = 28, .width = 28}),
        false);
    for (std::size_t i = 0; i < residual.steps.size(); ++i) {
      if (residual.steps[i].addend_slot == kNoSlot) continue;
      LaneProgram swapped = residual;
      swapped.steps[i].addend_slot = 1 - residual.steps[i].addend_slot;
      CHECK(is_refused(swapped));
      LaneProgram kept = residual;
      kept.steps[i].stores_output = false;
      if (residual.steps[i].stores_output) CHECK(is_refused(kept));
    }
  }

  TEST_CASE("the checker sees adjoints that are added where nothing is, or stored over others") {
    const Program program =
        lower(*preset_network("residual-cnn-gp"), {.channels = 1, .height = 28, .width = 28});
    const LaneProgram tape = compile_lanes(program, true);
    const ReverseProgram sound = reverse_lanes(tape, program);
    CHECK_NOTHROW(check_layout(tape, sound));
    for (std::size_t i = 0; i < sound.steps.size(); ++i) {
      if (sound.steps[i].forward.source == RowSource::kImages) continue;
      CAPTURE(i);
      ReverseProgram wrong = sound;
      wrong.steps[i].source_first = !sound.steps[i].source_first;
      CHECK_THROWS_AS(check_layout(tape, wrong), std::logic_error);
    }
  }

}  // TEST_SUITE

}  // namespace gramtile::test::layout_test
