// Other numbers for the parameters of a network: of the program, and back in the tree that a file
// is written of.
#pragma once

#include <span>
#include <vector>

#include "engine/network/network.hpp"
#include "engine/network/program.hpp"

namespace gramtile {

/// Values of Program::parameters.
std::vector<double> parameter_values(const Program& program);

/// Requires as many values as the program has parameters, finite ones, and variances ≥ 0.
void set_parameter_values(Program& program, std::span<const double> values);

/// The network whose program has these values, in the order of Program::parameters. Repeats whose
/// turns have numbers of their own are written out turn by turn.
Network with_parameter_values(const Network& network, std::span<const double> values);

/// softmax(logits), shifted by the largest so that nothing overflows.
std::vector<double> softmax(std::span<const double> logits);

/// Which of the program's parameters are logits: numbers of any sign; the others are variances.
std::vector<bool> parameters_that_are_logits(const Program& program);

}  // namespace gramtile
