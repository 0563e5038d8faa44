// NextRows by itself. Compiled once per instruction set (parts-inl.hpp).
#pragma once

// clang-format off
#include "hwy/highway.h"

#include "engine/lanes/next_rows-inl.hpp"
#include "tests/support/parts/next_rows.hpp"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace gramtile {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Columns from, …, to − 1 of the group at row y, to where NextRows takes the part that starts at
// `from`.
template <class D>
void HandOverColumns(D d, const NextRows<D>& next, const MapShape& map, Index y, Index from,
                     Index to, const hn::TFromD<D>* source) {
  const Index n = static_cast<Index>(hn::Lanes(d));
  auto* const origin = next.Origin(from);
  for (Index row = y; row < y + kGroupRows && row < map.height; ++row) {
    for (Index x = from; x < to; ++x) {
      hn::Store(hn::Load(d, source + (row * map.width + x) * n), d,
                NextRows<D>::At(origin, row, x));
    }
  }
}

template <class T>
bool SumNextRows(const test::NextRowsJob& job, const test::NextRowsBuffers<T>& buffers) {
  using D = hn::ScalableTag<T>;
  const D d;
  const WindowJob<T> window{job.input, job.output,   job.geometry, buffers.rows,
                            nullptr,   buffers.sums, true};
  const NextRows<D> next(d, window, buffers.rows);
  const Index split = next.Split(), width = job.input.width;
  next.Start();
  for (Index y = 0; y < job.input.height; y += kGroupRows) {
    const Index count = HWY_MIN(kGroupRows, job.input.height - y);
    if (split == 0 || count < kGroupRows) {
      HandOverColumns(d, next, job.input, y, 0, width, buffers.source);
      next.Rows(y, count);
      continue;
    }
    HandOverColumns(d, next, job.input, y, 0, split, buffers.source);
    next.FirstPart(y);
    HandOverColumns(d, next, job.input, y, split, width, buffers.source);
    next.LastPart(y);
  }
  return split > 0;
}

}  // namespace HWY_NAMESPACE
}  // namespace gramtile
HWY_AFTER_NAMESPACE();
