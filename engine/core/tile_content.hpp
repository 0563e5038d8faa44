// What a run makes of every tile: a list of named planes, and at most one vector. Whoever computes
// fills them, whoever stores or reads them goes by this list and knows no name of it; a new kind of
// plane is a name that a backend understands.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/core/derivative.hpp"
#include "engine/core/index.hpp"

namespace gramtile {

/// Planes of one kind: matrices of the tile's shape, a single one or one for each parameter.
struct PlaneGroup {
  std::string name;            ///< "kernel", "jacobian": what is asked for
  std::string prefix;          ///< they are called prefix + the matrix's name: "dKxx"
  bool per_parameter = false;  ///< P planes, in the order of the parameters

  Index num_planes(Index num_parameters) const { return per_parameter ? num_parameters : 1; }
  bool operator==(const PlaneGroup&) const = default;
};

struct TileContent {
  std::vector<PlaneGroup> planes;  ///< in the order in which they are stored; names differ
  /// "gradient": P numbers of every tile in float64, to be summed over the tiles; "": none.
  std::string vector;

  /// nullptr when it is not among them.
  const PlaneGroup* find(std::string_view name) const;
  bool has(std::string_view name) const { return find(name) != nullptr; }
  /// Of all kinds together.
  Index num_planes(Index num_parameters) const;
  bool operator==(const TileContent&) const = default;
};

inline constexpr std::string_view kKernelPlane = "kernel";       ///< K
inline constexpr std::string_view kJacobianPlane = "jacobian";   ///< ∂K/∂θ, one per parameter
inline constexpr std::string_view kGradientVector = "gradient";  ///< ∂L/∂θ; needs ∂L/∂K

/// K, if asked for, and what the derivative adds.
TileContent content_of(bool with_kernel, Derivative derivative);

}  // namespace gramtile
