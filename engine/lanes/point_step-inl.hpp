// Point steps (lane_step.hpp) in every pass: forwards, on variances, backwards, and on the chains
// of variances. The activations themselves stand in engine/activations/. Included once per target.
//
// Maps are gone through in the order in which their pixels lie in memory, in which those of the
// variance stack lie, too. Every pixel is read before it is written: a step can run in place.
#pragma once

#include "engine/activations/erf-inl.hpp"
#include "engine/activations/leaky_relu-inl.hpp"
#include "engine/lanes/adjoint_target-inl.hpp"
#include "engine/lanes/lane_sums-inl.hpp"
#include "engine/lanes/step-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace gramtile {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Calls Run<ErfLanes<D>>::At(arguments …) for the step's activation. Relus have no point steps.
template <template <class, class> class Run, class D, class... Arguments>
HWY_INLINE void ForActivation(D, const LaneStep& step, const Arguments&... arguments) {
  switch (step.activation.kind) {
    case ActivationKind::kRelu:
      return;
    case ActivationKind::kLeakyRelu:
      return Run<D, LeakyReluLanes<D>>::At(step, arguments...);
    case ActivationKind::kErf:
      return Run<D, ErfLanes<D>>::At(step, arguments...);
  }
}

// The numbers of a map's pixels in a variance stack, as a row has them or a pack.
template <class T>
struct StackNumbers {
  const T *first, *second;
};
template <class T>
struct PairStack {
  StackNumbers<T> row, pack;
};

template <class D>
HWY_INLINE PairStack<hn::TFromD<D>> PairStackOf(D d, const LaneSteps& program, const LaneStep& step,
                                                const PackOperands<hn::TFromD<D>>& pack) {
  const Index n = static_cast<Index>(hn::Lanes(d));
  const Index first = program.channels * program.num_pixels + step.map_offset;
  const Index second = first + program.num_map_pixels;
  return {{pack.row + first, pack.row + second}, {pack.pack + first * n, pack.pack + second * n}};
}

template <int N, class D, class V = hn::Vec<D>>
HWY_INLINE PointNumbers<N, V> LoadNumbers(D d, const PairStack<hn::TFromD<D>>& stack, Index i) {
  const Index n = static_cast<Index>(hn::Lanes(d));
  PointNumbers<N, V> numbers;
  GRAMTILE_EACH(k) {
    numbers.row_first[k] = hn::Set(d, stack.row.first[i + k]);
    numbers.row_second[k] = hn::Set(d, stack.row.second[i + k]);
    numbers.pack_first[k] = hn::Load(d, stack.pack.first + (i + k) * n);
    numbers.pack_second[k] = hn::Load(d, stack.pack.second + (i + k) * n);
  }
  return numbers;
}

// do_it.template At<N>(i) for pixels i, …, i + N − 1 of all `count`, N as many as go together.
template <class T, class Do>
HWY_INLINE void ForPixels(Index count, const Do& do_it) {
  constexpr int N = kTogether<T>;
  Index i = 0;
  for (; i + N <= count; i += N) do_it.template At<N>(i);
  for (; i < count; ++i) do_it.template At<1>(i);
}

// output = weight · F(xy, xx, yy)
template <class D, class Function>
struct PointForward {
  using T = hn::TFromD<D>;
  using V = hn::Vec<D>;
  Function function;
  PairStack<T> stack;
  const T* xy;
  T* output;

  template <int N>
  HWY_INLINE void At(Index i) const {
    const D d;
    const Index n = static_cast<Index>(hn::Lanes(d));
    V in[N], value[N];
    GRAMTILE_EACH(k) in[k] = hn::Load(d, xy + (i + k) * n);
    function.Value(d, in, LoadNumbers<N>(d, stack, i), value);
    GRAMTILE_EACH(k) hn::Store(value[k], d, output + (i + k) * n);
  }
  static HWY_NOINLINE void At(const LaneStep& step, const PairStack<T>& stack, const T* xy,
                              T* output) {
    ForPixels<T>(step.input.num_pixels(), PointForward{Function(step), stack, xy, output});
  }
};

template <class D>
HWY_INLINE void RunPoint(D d, const LaneSteps& program, const LaneStep& step,
                         const PackOperands<hn::TFromD<D>>& pack) {
  using T = hn::TFromD<D>;
  const Index stride = program.slot_stride * static_cast<Index>(hn::Lanes(d));
  const T* const xy = pack.slots + step.input_slot * stride;
  ForActivation<PointForward>(d, step, PairStackOf(d, program, step, pack), xy,
                              pack.slots + step.output_slot * stride);
}

// xx → weight · F(xx, xx, xx), xx to the stack. A scalar function of each lane: images are few
// beside pairs.
template <class D>
HWY_NOINLINE void RunVariancePoint(D d, const LaneStep& step, const double* xx, double* stack,
                                   double* output) {
  const Index count = step.input.num_pixels() * static_cast<Index>(hn::Lanes(d));
  for (Index i = 0; i < count; ++i) {
    stack[i] = xx[i];
    output[i] = step.weight * diagonal_of(step.activation, xx[i]);
  }
}

// What a backward pass leaves of the bends of a step that reads the variance stack: one map, or
// sums over pairs.
enum class Bends { kMap, kSums };

// Where bends go.
template <class T>
struct BendTargets {
  T* bend;              // [pixel][lane]: kMap the bend itself; kSums the pack's sums, added to
  T* row_bend;          // kSums: the row image's sums [pixel], and
  bool row_bend_first;  // nothing is there yet
};

// From the adjoint of the output to that of xy, and to bends.
template <Bends kBends>
struct PointBackward {
  template <class D, class Function>
  struct Of {
    using T = hn::TFromD<D>;
    using V = hn::Vec<D>;
    static constexpr Index kBuffered = 16;  // pixels whose lanes are summed together
    Function function;
    PairStack<T> stack;
    const T *xy, *from;
    AdjointMap<D> to;
    BendTargets<T> bends;
    T* buffer;

    template <int N>
    HWY_INLINE void At(Index i) const {
      const D d;
      const Index n = static_cast<Index>(hn::Lanes(d));
      V in[N], a[N], bend[N];
      const PointNumbers<N, V> numbers = LoadNumbers<N>(d, stack, i);
      GRAMTILE_EACH(k) in[k] = hn::Load(d, xy + (i + k) * n);
      GRAMTILE_EACH(k) a[k] = hn::Load(d, from + (i + k) * n);
      function.Adjoint(d, in, numbers, a, bend);
      GRAMTILE_EACH(k) {
        T* const sum = bends.bend + (i + k) * n;
        to.Put(d, (i + k) * n, a[k]);
        if constexpr (kBends == Bends::kMap) {
          hn::Store(bend[k], d, sum);
        } else {
          const V to_pack = function.Share(bend[k], numbers.row_first[k]);
          hn::Store(hn::Add(to_pack, hn::Load(d, sum)), d, sum);
          hn::Store(function.Share(bend[k], numbers.pack_first[k]), d,
                    buffer + (i + k) % kBuffered * n);
        }
      }
    }
    static HWY_NOINLINE void At(const LaneStep& step, const PairStack<T>& stack, const T* xy,
                                const T* from, const AdjointMap<D>& to,
                                const BendTargets<T>& bends) {
      const D d;
      alignas(64) T buffer[kBuffered * hn::MaxLanes(D())];
      const Of pixels{Function(step), stack, xy, from, to, bends, buffer};
      const Index count = step.input.num_pixels();
      for (Index i = 0; i < count; i += kBuffered) {
        const Index now = HWY_MIN(kBuffered, count - i);
        ForPixels<T>(now, Shifted{pixels, i});
        if constexpr (kBends == Bends::kSums) {
          AddLaneSums(d, buffer, now, bends.row_bend_first, bends.row_bend + i);
        }
      }
    }
    struct Shifted {
      const Of& pixels;
      Index first;
      template <int N>
      HWY_INLINE void At(Index i) const {
        pixels.template At<N>(first + i);
      }
    };
  };
};

template <Bends kBends, class D>
HWY_INLINE void ReversePoint(D d, const ReverseSteps& program, const ReverseStep& step,
                             const PackOperands<hn::TFromD<D>>& pack, hn::TFromD<D>* adjoints,
                             const BendTargets<hn::TFromD<D>>& bends) {
  using T = hn::TFromD<D>;
  const Index stride = program.forward.slot_stride * static_cast<Index>(hn::Lanes(d));
  const LaneStep& f = step.forward;
  const T* const xy = pack.slots + f.input_slot * stride;
  const T* const from = adjoints + step.output_adjoint * stride;
  const AdjointMap<D> to{adjoints + step.source_adjoint * stride, step.source_first};
  ForActivation<PointBackward<kBends>::template Of>(d, f, PairStackOf(d, program.forward, f, pack),
                                                    xy, from, to, bends);
}

// One image's part in a chain of variances.
template <class T>
struct ChainSide {
  StackNumbers<T> own;
  bool own_is_row;  // numbers of a row image are the same in all lanes
  const T* bend;    // [pixel][lane], or nullptr
  const T* other;  // first numbers of the pair's other image; nullptr: bends are shared out already
};

// From the adjoint of F(xx, xx, xx) to that of xx, with what the pairs' bends add to it.
template <class D, class Function>
struct PointChain {
  using T = hn::TFromD<D>;
  using V = hn::Vec<D>;
  static HWY_NOINLINE void At(const LaneStep& step, const ChainSide<T>& side, const T* from,
                              const AdjointMap<D>& to) {
    const D d;
    const Function function(step);
    const Index n = static_cast<Index>(hn::Lanes(d));
    const auto number = [&](const T* numbers, Index i, bool row) HWY_ATTR {
      return row ? hn::Set(d, numbers[i]) : hn::Load(d, numbers + i * n);
    };
    for (Index i = 0; i < step.input.num_pixels(); ++i) {
      const V first = number(side.own.first, i, side.own_is_row);
      V second = number(side.own.second, i, side.own_is_row);
      if (side.own_is_row) second = hn::Mul(second, hn::Set(d, Function::kRowSecond));
      V a = hn::Mul(hn::Load(d, from + i * n), function.Slope(d, first, second));
      if (side.bend != nullptr) {
        V bend = hn::Load(d, side.bend + i * n);
        if (side.other != nullptr) {
          bend = function.Share(bend, number(side.other, i, !side.own_is_row));
        }
        a = hn::MulAdd(bend, function.Own(d, second), a);
      }
      to.Put(d, i * n, a);
    }
  }
};

template <class D>
HWY_INLINE void ReversePointChain(D d, const ReverseSteps& program, const ReverseStep& step,
                                  const ChainSide<hn::TFromD<D>>& side, hn::TFromD<D>* adjoints) {
  using T = hn::TFromD<D>;
  const Index stride = program.forward.slot_stride * static_cast<Index>(hn::Lanes(d));
  const T* const from = adjoints + step.output_adjoint * stride;
  const AdjointMap<D> to{adjoints + step.source_adjoint * stride, step.source_first};
  ForActivation<PointChain>(d, step.forward, side, from, to);
}

}  // namespace HWY_NAMESPACE
}  // namespace gramtile
HWY_AFTER_NAMESPACE();
