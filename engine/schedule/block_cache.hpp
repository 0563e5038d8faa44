// Prepared blocks, kept while they are likely to be needed again. Used by the fetching thread
// alone; what it lends may be given back by any.
#pragma once

#include <atomic>
#include <list>
#include <memory>
#include <vector>

#include "engine/backend/backend.hpp"
#include "engine/core/ports.hpp"

namespace gramtile {

/// At most `capacity` blocks in memory: those that tiles in flight use, and of the others the ones
/// used last. A new block takes the buffers of the one that makes room for it, so what is in memory
/// neither grows with the number of images nor with the order in which threads give blocks back.
/// More than `capacity` only while all of them are in use.
class BlockCache {
 public:
  /// Prepares blocks of images of `shape` with `backend`, which must outlive it.
  BlockCache(Backend& backend, ImageShape shape, Index capacity);

  /// The block of `examples` of `source`, read and prepared if it is not at hand. It is in use
  /// until the last copy of the pointer is gone, on whatever thread.
  std::shared_ptr<const BackendBlock> get(BlockSource& source, Range examples);

 private:
  struct Slot {
    const BlockSource* source = nullptr;  ///< nullptr: holds nothing that could be lent
    Range examples;
    std::unique_ptr<BackendBlock> block;
    std::atomic<int> num_loans = 0;
  };

  static std::shared_ptr<const BackendBlock> lend(const std::shared_ptr<Slot>& slot);
  void make_room();
  void prepare(BlockSource& source, Range examples, Slot& slot);

  Backend& backend_;
  ImageShape shape_;
  Index capacity_;
  std::list<std::shared_ptr<Slot>> slots_;  ///< most recently used first
  std::vector<double> pixels_;
};

}  // namespace gramtile
