// Prepared blocks, kept while they are likely to be needed again. Used by the fetching thread
// alone.
#pragma once

#include <list>
#include <memory>
#include <vector>

#include "engine/core/ports.hpp"
#include "engine/lanes/prepared_block.hpp"
#include "engine/schedule/executor.hpp"
#include "engine/schedule/workspace_pool.hpp"

namespace gramtile {

/// Least recently used of at most `capacity` blocks, each of at most `block_size` examples. Tiles
/// in flight keep their blocks alive by shared ownership.
template <class T>
class BlockCache {
 public:
  BlockCache(const LaneProgram& program, Index block_size, Index capacity, Executor& executor);

  /// The block of `examples` of `source`, read and prepared if it is not at hand.
  std::shared_ptr<const PreparedBlock<T>> get(BlockSource& source, Range examples);

 private:
  struct Entry {
    const BlockSource* source;
    Range examples;
    std::shared_ptr<const PreparedBlock<T>> block;
  };

  std::shared_ptr<const PreparedBlock<T>> prepare(BlockSource& source, Range examples);

  const LaneProgram& program_;
  Index capacity_;
  Executor& executor_;
  std::list<Entry> entries_;  ///< most recently used first
  std::vector<double> pixels_;
  WorkspacePool<LaneWorkspace<double>> workspaces_;
};

}  // namespace gramtile
