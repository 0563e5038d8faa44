// Sets and matrices of a run, for people.
#pragma once

#include <string>

#include "engine/core/tile.hpp"
#include "io/job/inputs.hpp"

namespace gramtile::apps {

/// "50,000 images of 3 × 32 × 32, labels 0 to 9", or "no labels".
std::string describe_set(const InputSet& set);

/// One line per set on stdout: "train: 50,000 images of 3 × 32 × 32, labels 0 to 9".
void print_sets(const Inputs& inputs);

/// "Kxx 40×40, Kt_diag 6": the matrices of a run.
std::string describe_matrices(const TilePlan& plan);

}  // namespace gramtile::apps
