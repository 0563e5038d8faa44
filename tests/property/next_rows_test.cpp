// The sums that a step makes for the next one, by themselves: every size, window and padding,
// against sums that say plainly what they are. Pixels are whole numbers and sums stay small, so
// every order of additions gives the same, exactly.
#include "tests/support/parts/next_rows.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <limits>
#include <random>
#include <span>
#include <vector>

#include "engine/core/aligned_buffer.hpp"
#include "engine/simd/kernels.hpp"

namespace gramtile::test::next_rows_test {
namespace {

template <class T>
class NextRowsCheck {
 public:
  explicit NextRowsCheck(const NextRowsJob& job)
      : job_(job),
        source_(as_size(job.input.num_pixels() * kLanes)),
        rows_(as_size(kGroupRows * row_vectors() * kLanes)),
        sums_(as_size(job.input.height * sums_stride(job.output) * kLanes)) {
    std::mt19937_64 random(7);
    for (T& pixel : span_of(source_)) pixel = static_cast<T>(random() % 1000);
    for (T& value : span_of(rows_)) value = std::numeric_limits<T>::quiet_NaN();
    for (T& value : span_of(sums_)) value = std::numeric_limits<T>::quiet_NaN();
  }

  /// Returns whether groups came in two parts.
  bool run() {
    const bool split = sum_next_rows<T>(job_, {source_.data(), rows_.data(), sums_.data()});
    whole() ? check_total() : check_rows();
    return split;
  }

 private:
  static std::span<T> span_of(AlignedBuffer<T>& buffer) { return {buffer.data(), buffer.size()}; }
  bool whole() const { return is_whole_window(job_.geometry, job_.input, job_.output); }
  /// As compile_lanes() has it for this step alone.
  Index row_vectors() const {
    return std::max(job_.input.width, job_.output.width) + 4 +
           2 * std::min<Index>(job_.geometry.x.kernel_size, 8);
  }
  T pixel(Index y, Index x, Index lane) const {
    if (job_.geometry.circular) x = wrapped(x, job_.input.width);
    if (x < 0 || x >= job_.input.width) return 0;
    return source_.data()[(y * job_.input.width + x) * kLanes + lane];
  }

  void check_rows() const {
    const Index stride = sums_stride(job_.output), low = job_.geometry.x.pad_low;
    Index wrong = 0;
    for (Index y = 0; y < job_.input.height; ++y) {
      for (Index x = 0; x < job_.output.width; ++x) {
        for (Index lane = 0; lane < kLanes; ++lane) {
          T expected = 0;
          for (Index i = 0; i < job_.geometry.x.kernel_size; ++i)
            expected += pixel(y, x + i - low, lane);
          wrong += !(sums_.data()[(y * stride + x) * kLanes + lane] == expected);
        }
      }
    }
    REQUIRE(wrong == 0);
  }

  void check_total() const {
    for (Index lane = 0; lane < kLanes; ++lane) {
      T expected = 0;
      for (Index y = 0; y < job_.input.height; ++y)
        for (Index x = 0; x < job_.input.width; ++x) expected += pixel(y, x, lane);
      REQUIRE(sums_.data()[lane] == expected);
    }
  }

  const Index kLanes = simd::kernels<T>().lanes;
  NextRowsJob job_;
  AlignedBuffer<T> source_, rows_, sums_;
};

Index output_size(Index input, const WindowAxis& g) {
  return input + g.pad_low + g.pad_high - g.kernel_size + 1;
}

/// Every padding that a unit window can have.
template <class T>
void check_windows(Index width, Index height, Index kernel, Index& num_checked, Index& num_split) {
  for (Index low = 0; low < kernel; ++low) {
    for (Index high = 0; high <= kernel; ++high) {
      // Along y another window, which is no matter here.
      const WindowGeometry g{.y = {2, 1, 1, 0, 1}, .x = {kernel, 1, 1, low, high}};
      const NextRowsJob job{{height, width}, {height, output_size(width, g.x)}, g};
      if (job.output.width < 1 || job.output.height < 1) continue;
      CAPTURE(width);
      CAPTURE(height);
      CAPTURE(kernel);
      CAPTURE(low);
      CAPTURE(high);
      ++num_checked;
      num_split += NextRowsCheck<T>(job).run();
      if (low + high != kernel - 1) continue;
      NextRowsJob circular = job;
      circular.geometry.circular = true;
      CHECK_FALSE(NextRowsCheck<T>(circular).run());
    }
  }
}

}  // namespace

TEST_CASE_TEMPLATE("sums for the next step are those of its windows, in one part or in two", T,
                   float, double) {
  Index num_checked = 0, num_split = 0;
  for (Index width = 1; width <= 40; ++width) {
    for (const Index height : {1, 3, 4, 9})
      for (const Index kernel : {2, 3, 4, 5, 7})
        check_windows<T>(width, height, kernel, num_checked, num_split);
  }
  for (Index size = 1; size <= 32; ++size) {
    CAPTURE(size);
    const Index other = size % 7 + 1;
    NextRowsCheck<T>({{size, other}, {1, 1}, {.y = {size}, .x = {other}}}).run();
  }
  MESSAGE(num_checked << " windows, " << num_split << " of them in two parts");
}

}  // namespace gramtile::test::next_rows_test
