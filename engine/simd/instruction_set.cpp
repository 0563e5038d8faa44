#include "engine/simd/instruction_set.hpp"

#include "engine/simd/kernels.hpp"

namespace gramtile {

std::string_view instruction_set() { return simd::target_name(); }

std::vector<std::string_view> supported_instruction_sets() { return simd::target_names(); }

}  // namespace gramtile
