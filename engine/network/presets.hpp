// The four networks of the paper's code (Garriga-Alonso, Rasmussen, Aitchison 2019).
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "engine/network/network.hpp"

namespace gramtile {

/// `convnet-gp`, `residual-cnn-gp`, `resnet32-gp`, `resnet32-gp-cifar10`; empty for any other name.
std::optional<Network> preset_network(std::string_view name);

std::vector<std::string_view> preset_names();

}  // namespace gramtile
