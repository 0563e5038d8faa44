// Powers of two that keep every map of a network near 1, so that neither float nor double overflows
// or underflows however deep the network is and however small or large its variances.
//
// A network of relus is homogeneous: when a map of covariances is stored 2^e times as large, so are
// its relu and its window sums, and the weight, bias and addend weight of the step that makes the
// next map, stored 2^f times as large, are multiplied by 2^(f−e), 2^f and 2^(f−e'). Powers of two
// are exact: no mantissa changes. The results are multiplied by the inverse power at the end. In
// front of an activation that is not homogeneous the power is 1 (docs/mathematics.md, §9).
#pragma once

#include <span>
#include <vector>

#include "engine/network/program.hpp"

namespace gramtile {

/// By ValueId: the even exponent e of the power that the value's maps are stored with; 0 for the
/// images' product. Wherever the largest variance, for an image whose pixels are all 1, would
/// leave [2^−40, 2^40], the power brings it back to 2^±24; otherwise the exponent is that of the
/// value it is made of. 0 for what an activation reads that is not homogeneous.
std::vector<int> value_exponents(const Program& program);

/// No layer has a bias (a parameter that is 0 counts as one), and all are homogeneous. Then K(αx,
/// y) = α K(x, y), and faint or glaring images are brought to about 1, too.
bool scales_with_images(const Program& program);

/// The exponent s of the power 2^s that an image of these pixels is multiplied with in such a
/// network: 0 unless its largest pixel is outside [2^−8, 2^8].
int image_exponent(std::span<const double> pixels);

}  // namespace gramtile
