// The form on lanes of an activation that makes a map of its own (PairFunction::kFused is false),
// of N pixels at a time. Included once per target.
//
//   Function f(step)                                step.weight, which it applies as well, and
//                                                   step.activation: of whatever has both
//   f.Value(d, xy, numbers, value)                  weight · F
//   f.Adjoint(d, xy, numbers, a, bend)              a: adjoint of the value, becomes that of xy
//
// The adjoint of xx is bend times a factor of each image: bend is the same for both. What of it
// goes to one image is multiplied by a number of the other, Share(bend, first number of the other),
// can then be summed over pairs, and is multiplied by the image's own factor, Own(second number, as
// a pack has it), once. Symmetric in the two images, bit for bit, as all that a pair computes.
//
//   f.Slope(d, first, second)                       weight · ∂F(xx, xx, xx)/∂xx
//   Function::kRowSecond                            a row's second number times this is a pack's
#pragma once

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace gramtile {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// The stored numbers of N pixels: of the row image, the same in all lanes, and of the pack.
template <int N, class V>
struct PointNumbers {
  V row_first[N], row_second[N], pack_first[N], pack_second[N];
};

}  // namespace HWY_NAMESPACE
}  // namespace gramtile
HWY_AFTER_NAMESPACE();
