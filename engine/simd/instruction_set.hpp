// Which instruction set the lanes run on.
#pragma once

#include <string_view>
#include <vector>

namespace gramtile {

/// Name of the instruction set in use: "AVX3", "AVX2", …, "EMU128" or "SCALAR" for the portable
/// build. The environment variable GRAMTILE_TARGET forces one; Error(kUsage) when the processor
/// lacks it.
std::string_view instruction_set();

/// Every instruction set that this binary holds and this processor has, best first.
std::vector<std::string_view> supported_instruction_sets();

}  // namespace gramtile
