#include <algorithm>

#include "engine/train/objective.hpp"

namespace gramtile {

std::span<const Objective* const> objectives() {
  static const Objective* const all[] = {&nlml(), &leave_one_out_error(), &kernel_flow(),
                                         &alignment()};
  return all;
}

const Objective* find_objective(std::string_view name) {
  const auto all = objectives();
  const auto found =
      std::ranges::find_if(all, [&](const Objective* o) { return o->name() == name; });
  return found == all.end() ? nullptr : *found;
}

}  // namespace gramtile
