// The relu of covariances that are not negative, as a table for processors that can look 32 floats
// up in registers (AVX-512's vpermt2ps), as printed by fit_polynomials.py (2026-11-24).
//
// With the haversine u = (1 − c)/2 and s = u + kReluTableShift, h of docs/mathematics.md, κ(c) = c
// + h, is a cubic in s on each of 32 pieces, which the exponent of s and the first two bits of its
// mantissa number:
//
//   h ≈ ((k₃ s + k₂) s + k₁) s + k₀,   k_i = kReluTable[i][bits(s) >> 21 & 31]
//
// The exponents of s are −9 to −1, and what would be the first quarter of −9 is the first of −1. So
// a piece is at most a quarter of s wide, and where h bends most, near c = 1, it is narrowest. The
// first begins at c = 1 + 2⁻¹¹: a c that is larger than 1 by rounding is read from the table, too;
// lane_program.cpp sees to it that none is larger than that.
#pragma once

namespace gramtile {

inline constexpr float kReluTableShift = 0x1.4p-9f + 0x1p-12f;

/// Lowest power first. Largest error of κ(c), relative to κ(c), for 0 ≤ c ≤ 1: 1.2e-7, the
/// coefficients' rounding included. At c = 1 it is exact. (Not inline: kernels define no weak
/// symbols.)
alignas(64) constexpr float kReluTable[4][32] = {
    {-7.81045383e-05f, -0.000112796362f, -0.000145206272f, -0.000176666639f, -0.000222161034f,
     -0.000285205519f, -0.000349707872f, -0.00041614924f,  -0.000517231005f, -0.000663734216f,
     -0.00081904378f,  -0.00098295114f,  -0.00123784121f,  -0.00161446026f,  -0.00202021725f,
     -0.00245347875f,  -0.0031357368f,   -0.00415585982f,  -0.00527105248f,  -0.00648169359f,
     -0.00844742358f,  -0.0115494905f,   -0.0153179672f,   -0.0201575179f,   -0.0233622286f,
     0.00186400418f,   0.000237066342f,  0.000104261228f,  4.33880705e-05f,  9.54407369e-07f,
     -2.72238285e-05f, -4.98389854e-05f},
    {0.001729412f,   0.0124731483f,  0.0208123084f, 0.0277397148f, 0.0362996347f,  0.0460432544f,
     0.0543333255f,  0.0616440438f,  0.0711464137f, 0.0824589133f, 0.0924350843f,  0.10145022f,
     0.11342641f,    0.127961054f,   0.140989333f,  0.152902082f,  0.168925032f,   0.188600838f,
     0.206497565f,   0.22313495f,    0.246196389f,  0.276057154f,  0.306226224f,   0.339385152f,
     0.359099209f,   -1.92949498f,   -0.225217462f, -0.106311567f, -0.0599359162f, -0.0334531888f,
     -0.0189049728f, -0.00892823469f},
    {7.03907299f,  5.92813349f,  5.21207142f,  4.70317745f,  4.16564846f, 3.66283965f, 3.30726933f,
     3.03890085f,  2.74076891f,  2.44910669f,  2.23525429f,  2.06983137f, 1.88202882f, 1.69473815f,
     1.55513573f,  1.44586003f,  1.3202703f,   1.19355714f,  1.0977093f,  1.02143037f, 0.931134462f,
     0.835158408f, 0.754556477f, 0.678760231f, 0.638335824f, 660.399536f, 65.1776962f, 29.6656818f,
     17.873394f,   12.3552055f,  9.84860992f,  8.38027382f},
    {-111.716736f,    -73.3622971f,  -52.8433151f,  -40.3715057f,  -29.1052952f,   -20.4420414f,
     -15.3525839f,    -12.0659628f,  -8.94401169f,  -6.43328476f,  -4.90345335f,   -3.89078665f,
     -2.90785146f,    -2.10205293f,  -1.60284853f,  -1.26843619f,  -0.939881682f,  -0.667417049f,
     -0.496111691f,   -0.379438192f, -0.261434674f, -0.158436552f, -0.0865721777f, -0.028769711f,
     -0.00113919983f, -74613.7188f,  -5306.59375f,  -1768.95325f,  -768.135498f,   -384.266846f,
     -240.146271f,    -168.0513f},
};

/// Covariances may exceed the product of their variances' roots by less than this part of it.
inline constexpr double kReluTableMargin = 0x1p-11;

}  // namespace gramtile
