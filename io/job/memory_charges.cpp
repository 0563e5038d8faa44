#include "io/job/memory_charges.hpp"

#include <fmt/format.h>

#include "engine/core/errors.hpp"
#include "io/job/memory_budget.hpp"
#include "io/job/quantities.hpp"

namespace gramtile {

MemoryCharges::MemoryCharges(std::size_t memory_bytes) : memory_bytes_(memory_bytes) {}

std::size_t MemoryCharges::engine_bytes() const {
  return share_memory(memory_bytes_).engine_bytes - charged_bytes_;
}

bool MemoryCharges::may_charge(std::size_t more_bytes) const {
  return charged_bytes_ + more_bytes <= share_memory(memory_bytes_).engine_bytes / 2;
}

void MemoryCharges::charge(std::size_t bytes, const std::string& what) {
  if (may_charge(bytes)) {
    charged_bytes_ += bytes;
    return;
  }
  const std::size_t all = charged_bytes_ + bytes;
  const auto fits = [&](std::size_t engine_bytes) { return all <= engine_bytes / 2; };
  throw Error(ErrorKind::kUsage,
              fmt::format("--memory {} is too little: at least {} are needed for {}",
                          format_bytes(memory_bytes_), format_bytes(least_memory(fits)), what));
}

}  // namespace gramtile
