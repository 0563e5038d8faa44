#include "engine/schedule/block_cache.hpp"

#include <algorithm>

#include "engine/simd/kernels.hpp"

namespace gramtile {

template <class T>
BlockCache<T>::BlockCache(const LaneProgram& program, Index block_size, Index capacity,
                          Executor& executor)
    : program_(program),
      capacity_(capacity),
      executor_(executor),
      pixels_(static_cast<std::size_t>(block_size * program.input.num_values())),
      workspaces_(
          [&program] { return LaneWorkspace<double>(program, simd::variance_kernels().lanes); }) {}

template <class T>
std::shared_ptr<const PreparedBlock<T>> BlockCache<T>::get(BlockSource& source, Range examples) {
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
  allocate(slot, examples);
  prepare(source, slot.block);
  slot.source = &source;
  slot.examples = examples;
  return lend(slots_.front());
}

template <class T>
std::shared_ptr<const PreparedBlock<T>> BlockCache<T>::lend(const std::shared_ptr<Slot>& slot) {
  ++slot->num_loans;
  // Released by the borrower's last look at the block, acquired before the block is overwritten.
  return {&slot->block, [slot](const PreparedBlock<T>*) {
            slot->num_loans.fetch_sub(1, std::memory_order_release);
          }};
}

/// Puts a slot that nobody uses in front: a new one while there are few, then the one used longest
/// ago.
template <class T>
void BlockCache<T>::make_room() {
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

/// Room for `examples`, in the buffers that the slot has if they suffice.
template <class T>
void BlockCache<T>::allocate(Slot& slot, Range examples) const {
  PreparedBlock<T>& block = slot.block;
  const Index num_rows = examples.size(), packs = num_packs<T>(num_rows);
  const auto suffices = [](const AlignedBuffer<T>& buffer, Index needed) {
    return buffer.size() > 0 && static_cast<Index>(buffer.size()) >= needed;
  };
  if (!suffices(block.packs, packs * block.view.pack_stride) ||
      !suffices(block.rows, num_rows * block.view.row_stride)) {
    block = {};  // gives back what it had before it asks for more
    block = allocate_block<T>(program_, examples);
    return;
  }
  block.examples = examples;
  block.diagonal.assign(static_cast<std::size_t>(num_rows), 0.0);
  block.exponents.assign(static_cast<std::size_t>(num_rows), 0);
  // Lanes without an example are black images.
  const Index stride = block.view.pack_stride;
  std::fill_n(block.packs.data() + (packs - 1) * stride, stride, T(0));
}

template <class T>
void BlockCache<T>::prepare(BlockSource& source, PreparedBlock<T>& block) {
  const Index num_examples = block.examples.size();
  const auto size = static_cast<std::size_t>(num_examples * program_.input.num_values());
  const std::span<double> pixels(pixels_.data(), size);
  source.read(block.examples, pixels);
  executor_.for_each(num_packs<T>(num_examples), [&](Index pack) {
    auto workspace = workspaces_.borrow();
    prepare_pack(program_, pixels, pack, *workspace, block);
  });
}

template class BlockCache<float>;
template class BlockCache<double>;

}  // namespace gramtile
