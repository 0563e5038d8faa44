// Prepared blocks, kept while they are likely to be needed again. Used by the fetching thread
// alone; what it lends may be given back by any.
#pragma once

#include <atomic>
#include <list>
#include <memory>
#include <vector>

#include "engine/core/ports.hpp"
#include "engine/lanes/prepared_block.hpp"
#include "engine/schedule/executor.hpp"
#include "engine/schedule/workspace_pool.hpp"

namespace gramtile {

/// At most `capacity` blocks in memory, each of at most `block_size` examples: those that tiles in
/// flight use, and of the others the ones used last. A new block takes the buffers of the one that
/// makes room for it, so what is in memory neither grows with the number of images nor with the
/// order in which threads give blocks back. More than `capacity` only while all of them are in use.
template <class T>
class BlockCache {
 public:
  BlockCache(const LaneProgram& program, Index block_size, Index capacity, Executor& executor);

  /// The block of `examples` of `source`, read and prepared if it is not at hand. It is in use
  /// until the last copy of the pointer is gone, on whatever thread.
  std::shared_ptr<const PreparedBlock<T>> get(BlockSource& source, Range examples);

 private:
  struct Slot {
    const BlockSource* source = nullptr;  ///< nullptr: holds nothing that could be lent
    Range examples;
    PreparedBlock<T> block;
    std::atomic<int> num_loans = 0;
  };

  static std::shared_ptr<const PreparedBlock<T>> lend(const std::shared_ptr<Slot>& slot);
  void make_room();
  void allocate(Slot& slot, Range examples) const;
  void prepare(BlockSource& source, PreparedBlock<T>& block);

  const LaneProgram& program_;
  Index capacity_;
  Executor& executor_;
  std::list<std::shared_ptr<Slot>> slots_;  ///< most recently used first
  std::vector<double> pixels_;
  WorkspacePool<LaneWorkspace<double>> workspaces_;
};

}  // namespace gramtile
