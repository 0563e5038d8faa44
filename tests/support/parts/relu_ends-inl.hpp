// ReluTurn and ReluEnd by themselves. Compiled once per instruction set (parts-inl.hpp).
#pragma once

#include "engine/lanes/relu_adjoint-inl.hpp"
#include "tests/support/parts/relu_ends.hpp"

HWY_BEFORE_NAMESPACE();
namespace gramtile {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// A whole map, handed over as window loops do it: whole groups column by column, other rows pixel
// by pixel, from buffers of kGroupRows vectors a column (handles-inl.hpp).
template <class D>
void HandOverAll(D d, const ConsumerHandle<D>& consumer, const MapShape& shape,
                 const hn::TFromD<D>* map, bool in_pairs) {
  const Index n = static_cast<Index>(hn::Lanes(d)), width = shape.width;
  for (Index y = 0; y < shape.height; y += kGroupRows) {
    const Index rows = HWY_MIN(kGroupRows, shape.height - y);
    for (Index x = 0; x < width; ++x) {
      const hn::TFromD<D>* const column = map + (y * width + x * rows) * n;
      if (rows == kGroupRows && consumer.loops->group != nullptr) {
        consumer.loops->group(consumer.consumer, y, 0, x, x + 1, column);
      } else if (in_pairs) {
        for (Index k = 0; k < rows; k += 2) {
          consumer.loops->pair(consumer.consumer, y + k, HWY_MIN(rows - k, 2), x, x + 1,
                               column + k * n);
        }
      } else {
        consumer.loops->pixels(consumer.consumer, y, rows, x, x + 1, column);
      }
    }
    consumer.Rows(y, rows);
  }
}

template <bool kNonneg, class T, class D = hn::ScalableTag<T>>
ReluAdjoint<kNonneg, Bends::kSums, true, D> AdjointOf(const test::ReluEndsJob<T>& job,
                                                      const test::ReluEndsResult<T>& to) {
  const D d;
  return {.d = d,
          .operands = {.map = job.sums,
                       .row_root = job.row_root,
                       .row_half_inverse = job.row_half_inverse,
                       .column_root = job.column_root,
                       .column_inverse = job.column_inverse},
          .target = {.d = d,
                     .adjoint = {.map = nullptr, .first = true},
                     .way = AdjointWay::kSum,
                     .next = nullptr,
                     .origin = nullptr,
                     .stays = false,
                     .sum = hn::Zero(d)},
          .weight = SafeWeight<T>(job.weight_behind),
          .shape = job.shape,
          .bend = to.column_bend,
          .row_bend = to.row_bend,
          .row_bend_first = true,
          .group = job.scratch,
          .slope_sum = hn::Zero(d),
          .bend_sum = hn::Zero(d)};
}

template <bool kNonneg, class T>
void RunReluTurnOf(const test::ReluEndsJob<T>& job, const test::ReluEndsResult<T>& to) {
  using D = hn::ScalableTag<T>;
  const D d;
  const ReluTurn<kNonneg, D> turn{d,
                                  {nullptr, job.weight, job.bias, T(0)},
                                  AdjointOf<kNonneg>(job, to),
                                  hn::Load(d, job.adjoint)};
  HandOverAll(d, ConsumerOf(d, turn), job.shape, job.sums, true);
  hn::Store(turn.adjoint.target.sum, d, to.adjoint_sum);
}

template <class T>
void RunReluTurn(const test::ReluEndsJob<T>& job, const test::ReluEndsResult<T>& to) {
  job.nonnegative ? RunReluTurnOf<true>(job, to) : RunReluTurnOf<false>(job, to);
}

template <bool kNonneg, class T>
void RunReluEndOf(const test::ReluEndsJob<T>& job, const test::ReluEndsResult<T>& to) {
  using D = hn::ScalableTag<T>;
  const D d;
  const ReluEnd<kNonneg, D> end{d,
                                {nullptr, job.weight, job.bias, T(0)},
                                AdjointOf<kNonneg>(job, to),
                                {hn::Zero(d), hn::Zero(d)}};
  HandOverAll(d, ConsumerOf(d, end), job.shape, job.adjoint, job.in_pairs);
  hn::Store(end.adjoint.target.sum, d, to.adjoint_sum);
  hn::Store(hn::Add(end.weight_sums[0], end.weight_sums[1]), d, to.weight_sum);
}

template <class T>
void RunReluEnd(const test::ReluEndsJob<T>& job, const test::ReluEndsResult<T>& to) {
  job.nonnegative ? RunReluEndOf<true>(job, to) : RunReluEndOf<false>(job, to);
}

}  // namespace HWY_NAMESPACE
}  // namespace gramtile
HWY_AFTER_NAMESPACE();
