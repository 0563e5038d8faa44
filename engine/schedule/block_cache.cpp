#include "engine/schedule/block_cache.hpp"

#include <algorithm>

namespace gramtile {

BlockCache::BlockCache(Backend& backend, ImageShape shape, Index capacity)
    : backend_(backend), shape_(shape), capacity_(capacity) {}

std::shared_ptr<const BackendBlock> BlockCache::get(BlockSource& source, Range examples) {
  const auto found = std::find_if(slots_.begin(), slots_.end(), [&](const auto& slot) {
    return slot->source == &source && slot->examples == examples;
  });
  if (found != slots_.end()) {
    slots_.splice(slots_.begin(), slots_, found);
    return lend(slots_.front());
  }
  make_room();
  Slot& slot = *slots_.front();
  slot.source = nullptr;  // until it is prepared: reading may throw
  prepare(source, examples, slot);
  slot.source = &source;
  slot.examples = examples;
  return lend(slots_.front());
}

std::shared_ptr<const BackendBlock> BlockCache::lend(const std::shared_ptr<Slot>& slot) {
  ++slot->num_loans;
  // Released by the borrower's last look at the block, acquired before the block is overwritten.
  return {slot->block.get(),
          [slot](const BackendBlock*) { slot->num_loans.fetch_sub(1, std::memory_order_release); }};
}

/// Puts a slot that nobody uses in front: a new one while there are few, then the one used longest
/// ago.
void BlockCache::make_room() {
  const auto is_free = [](const auto& slot) {
    return slot->num_loans.load(std::memory_order_acquire) == 0;
  };
  // Slots beyond the capacity were made when all were in use.
  for (auto at = slots_.end(); static_cast<Index>(slots_.size()) > capacity_;) {
    if (at == slots_.begin()) break;
    if (is_free(*--at)) at = slots_.erase(at);
  }
  if (static_cast<Index>(slots_.size()) >= capacity_) {
    const auto oldest = std::find_if(slots_.rbegin(), slots_.rend(), is_free);
    if (oldest != slots_.rend()) {
      slots_.splice(slots_.begin(), slots_, std::next(oldest).base());
      return;
    }
  }
  slots_.push_front(std::make_shared<Slot>());
}

void BlockCache::prepare(BlockSource& source, Range examples, Slot& slot) {
  const auto num_values = static_cast<std::size_t>(examples.size() * shape_.num_values());
  if (pixels_.size() < num_values) {
    pixels_ = std::vector<double>();  // given back before there is more: growth would hold both
    pixels_.resize(num_values);
  }
  const std::span<double> pixels = std::span(pixels_).first(num_values);
  source.read(examples, pixels);
  backend_.prepare(examples, pixels, slot.block);
}

}  // namespace gramtile
