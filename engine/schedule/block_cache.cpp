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
  const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    return entry.source == &source && entry.examples == examples;
  });
  if (found != entries_.end()) {
    entries_.splice(entries_.begin(), entries_, found);
    return found->block;
  }
  while (static_cast<Index>(entries_.size()) >= capacity_) entries_.pop_back();
  entries_.push_front({&source, examples, prepare(source, examples)});
  return entries_.front().block;
}

template <class T>
std::shared_ptr<const PreparedBlock<T>> BlockCache<T>::prepare(BlockSource& source,
                                                               Range examples) {
  const auto size = static_cast<std::size_t>(examples.size() * program_.input.num_values());
  const std::span<double> pixels(pixels_.data(), size);
  source.read(examples, pixels);
  auto block = std::make_shared<PreparedBlock<T>>(allocate_block<T>(program_, examples));
  executor_.for_each(num_packs<T>(examples.size()), [&](Index pack) {
    auto workspace = workspaces_.borrow();
    prepare_pack(program_, pixels, pack, *workspace, *block);
  });
  return block;
}

template class BlockCache<float>;
template class BlockCache<double>;

}  // namespace gramtile
