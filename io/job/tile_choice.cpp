#include "io/job/tile_choice.hpp"

#include <fmt/format.h>

#include <utility>

#include "engine/core/errors.hpp"
#include "io/job/memory_budget.hpp"
#include "io/job/quantities.hpp"
#include "io/run/read/run_reader.hpp"
#include "io/run/spec/tile_map.hpp"
#include "io/run/write/journal.hpp"
#include "io/run/write/run_writer.hpp"

namespace gramtile {
namespace {

// The default tile must not depend on the machine, nor on the memory: shares have to agree on it,
// and a gradient is summed tile by tile.
constexpr int kThreadsForTileSize = 8;
constexpr std::size_t kMemoryForTileSize = std::size_t{2} << 30;

// What a run keeps for each of its tiles: hash and maker, the lists of what is to do, records of
// the journal while it is resumed (an estimate).
constexpr std::size_t kBytesPerTile = 64;

class TileChoice {
 public:
  TileChoice(const JobRequest& request, const JobPlan& plan,
             const std::vector<MatrixSpec>& matrices, const MemoryCharges& charges)
      : request_(request), plan_(plan), matrices_(matrices), charges_(charges) {}

  std::size_t bytes_of_lists(const TilePlan& plan) const {
    return static_cast<std::size_t>(tiles_of(plan, request_.shard).size()) * kBytesPerTile;
  }

  // The one asked for, or that of the run to be continued, or one that suits.
  Index wanted() const {
    if (request_.tile_size > 0) return request_.tile_size;
    if (request_.mode == StartMode::kResume) {
      if (const auto run = Journal::spec_at(RunWriter::journal_path(request_.out)))
        return run->plan.tile_size;
      try {
        return RunReader(request_.out).spec().plan.tile_size;
      } catch (const Error&) {  // not there, or not ours: RunWriter will say what is wrong
      }
    }
    ComputeOptions options = plan_.options;
    options.num_threads = kThreadsForTileSize;
    options.memory_bytes = share_memory(kMemoryForTileSize).engine_bytes;
    const Index usual = default_size(options);
    // A share keeps it: plan_job then asks for another tile size, the same for every share.
    if (request_.shard || fits(usual)) return usual;
    options.memory_bytes = plan_.options.memory_bytes;
    return default_size(options);
  }

  // This tile size, or the next larger one of whose tiles there are few enough to be listed; or 0.
  Index listable(Index tile_size) const {
    for (Index size = tile_size; size <= kMaxTileSize && fits(size); size *= 2) {
      if (charges_.may_charge(bytes_of_lists(plan_tiles(matrices_, size)))) return size;
    }
    return 0;
  }

 private:
  Index default_size(const ComputeOptions& options) const {
    return default_tile_size(plan_.inputs.program, matrices_, options, plan_.spec.content);
  }

  // Whether the least that a run with such tiles needs is within its memory.
  bool fits(Index tile_size) const {
    const TilePlan tiles{.tile_size = tile_size, .matrices = {}, .tiles = {}};
    ComputeRequest compute;
    compute.program = &plan_.inputs.program;
    compute.plan = &tiles;
    compute.content = plan_.spec.content;
    try {
      plan_memory(compute, plan_.options);
      return true;
    } catch (const Error&) {
      return false;
    }
  }

  const JobRequest& request_;
  const JobPlan& plan_;
  const std::vector<MatrixSpec>& matrices_;
  const MemoryCharges& charges_;
};

}  // namespace

TilePlan plan_tiles_to_list(const JobRequest& request, const JobPlan& plan,
                            std::vector<MatrixSpec> matrices, MemoryCharges& charges) {
  const TileChoice choice(request, plan, matrices, charges);
  Index tile_size = choice.wanted();
  const Index large_enough = choice.listable(tile_size);
  const bool is_free =
      request.tile_size == 0 && !request.shard && request.mode != StartMode::kResume;
  if (is_free && large_enough > 0) tile_size = large_enough;
  TilePlan tiles = plan_tiles(matrices, tile_size);
  const std::string advice = large_enough > 0
                                 ? fmt::format("with --tile {} this is enough{}", large_enough,
                                               request.shard ? " (the same for every share)" : "")
                                 : "a larger --tile makes fewer";
  charges.charge(choice.bytes_of_lists(tiles),
                 fmt::format("the lists of {} tiles; {}",
                             format_count(tiles_of(tiles, request.shard).size()), advice));
  return tiles;
}

}  // namespace gramtile
