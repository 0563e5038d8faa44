// Results against the reference, before anything is timed.
#pragma once

#include <span>
#include <string>

#include "engine/network/program.hpp"
#include "engine/network/promised_accuracy.hpp"

namespace gramtile::bench {

/// One image of [num_examples, C, H, W].
std::span<const double> image(const Program& program, std::span<const double> pixels,
                              Index example);

/// Throws std::runtime_error unless |found − expected| ≤ bound · scale.
void check_close(const std::string& what, double found, double expected, double scale,
                 double bound);

constexpr double kernel_bound(DataType type) { return promised_accuracy(type).kernel; }
constexpr double derivative_bound(DataType type) { return promised_accuracy(type).jacobian; }

}  // namespace gramtile::bench
