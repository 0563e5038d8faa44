#include "apps/python/binding/network.hpp"

#include "io/network/network_json.hpp"

namespace gramtile::python {

std::shared_ptr<const Program> SharedNetwork::program(ImageShape shape) const {
  constexpr std::size_t kMostKept = 4;
  const std::lock_guard lock(mutex_);
  for (const auto& program : programs_) {
    if (program->input == shape) return program;
  }
  try {
    if (programs_.size() == kMostKept) programs_.erase(programs_.begin());
    programs_.push_back(std::make_shared<const Program>(lower(network_, shape)));
  } catch (const NetworkError& error) {
    throw in_file(origin_, error);
  }
  return programs_.back();
}

}  // namespace gramtile::python
