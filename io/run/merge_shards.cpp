// Shares into one file, tile by tile: no more than one tile and the writer's queue in memory.
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>

#include "engine/core/errors.hpp"
#include "io/run/content_hash.hpp"
#include "io/run/read_run.hpp"
#include "io/run/run_file.hpp"
#include "io/run/tile_map.hpp"

namespace gramtile {
namespace {

[[noreturn]] void refuse(const std::string& message) {
  throw Error(ErrorKind::kPartMissing, message);
}

RunReader open_share(const std::string& path) {
  try {
    RunReader reader(path);
    if (!reader.shard()) refuse(path + ": is no share but a whole file");
    if (!reader.complete()) refuse(path + ": is unfinished; continue its run with --resume");
    return reader;
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kPartMissing) throw;
    refuse(error.what());
  }
}

/// "missing: share 1/4, 3/4": names ten of them and counts the rest.
std::string missing_shares(const std::map<Index, const RunReader*>& present, Index count) {
  constexpr Index kNamed = 10;
  const Index num_missing = count - static_cast<Index>(present.size());
  std::string text = "missing: share ";
  Index named = 0;
  for (Index i = 0; named < std::min(kNamed, num_missing); ++i) {
    if (present.contains(i)) continue;
    text += fmt::format("{}{}/{}", named == 0 ? "" : ", ", i, count);
    ++named;
  }
  if (num_missing > named) text += fmt::format(" and {} more", num_missing - named);
  return text;
}

/// All shares of one run, by index.
std::vector<RunReader> open_shares(const std::vector<std::string>& paths) {
  if (paths.empty()) throw Error(ErrorKind::kUsage, "no shares given");
  std::vector<RunReader> shares;
  for (const std::string& path : paths) shares.push_back(open_share(path));
  const RunReader& first = shares.front();
  const Index count = first.shard()->count;
  std::map<Index, const RunReader*> by_index;
  for (const RunReader& share : shares) {
    const auto expected = facts_of(first.spec()), found = facts_of(share.spec());
    const std::string changed = differences(expected, found);
    if (!changed.empty())
      refuse(fmt::format("{}: belongs to another run than {}: {}{}", share.path(), first.path(),
                         changed, advice_to_merge(expected, found)));
    if (share.shard()->count != count)
      refuse(fmt::format("{}: is one of {} shares, {} is one of {}", share.path(),
                         share.shard()->count, first.path(), count));
    const RunReader*& place = by_index[share.shard()->index];
    if (place != nullptr)
      refuse(fmt::format("{} and {} overlap: both are share {}/{}", place->path(), share.path(),
                         share.shard()->index, count));
    place = &share;
  }
  if (static_cast<Index>(by_index.size()) < count) refuse(missing_shares(by_index, count));
  std::ranges::sort(shares, {}, [](const RunReader& share) { return share.shard()->index; });
  return shares;
}

/// The tile as the engine delivered it.
class Unpacked {
 public:
  Unpacked(const RunSpec& spec, const Tile& tile, std::span<const std::byte> packed) {
    const ChunkShape chunk = chunk_shape(spec.plan, tile.matrix);
    const std::size_t element = size_in_bytes(spec.data_type);
    const std::size_t chunk_bytes = chunk.num_entries() * element;
    const std::size_t entry_bytes =
        static_cast<std::size_t>(tile.rows.size() * tile.columns.size()) * element;
    const std::size_t kernels = spec.with_kernel ? 1 : 0;
    const std::size_t planes = kernels + static_cast<std::size_t>(num_jacobians(spec));
    entries_.resize(planes * entry_bytes);
    for (std::size_t i = 0; i < planes; ++i)
      unpad(tile, chunk, element, packed.subspan(i * chunk_bytes, chunk_bytes),
            std::span(entries_).subspan(i * entry_bytes, entry_bytes));
    gradient_.resize(static_cast<std::size_t>(num_gradients(spec)));
    std::ranges::copy(packed.subspan(planes * chunk_bytes),
                      std::as_writable_bytes(std::span(gradient_)).begin());
    result_.tile = tile;
    result_.data_type = spec.data_type;
    result_.kernel = std::span<const std::byte>(entries_).first(kernels * entry_bytes);
    result_.jacobian = std::span<const std::byte>(entries_).subspan(kernels * entry_bytes);
    result_.gradient = gradient_;
  }

  const TileResult& result() const { return result_; }

 private:
  std::vector<std::byte> entries_;
  std::vector<double> gradient_;
  TileResult result_;
};

class MergeProgress {
 public:
  using Report = std::function<void(Index, Index)>;

  MergeProgress(const TilePlan& plan, const std::vector<Index>& tiles_to_do, const Report& report)
      : plan_(plan), report_(report) {
    total_ = done_ = plan.num_pairs();
    for (const Index t : tiles_to_do) done_ -= pairs_of(t);
    if (report_) report_(done_, total_);
  }

  void advance(Index tile) {
    done_ += pairs_of(tile);
    if (report_) report_(done_, total_);
  }

 private:
  Index pairs_of(Index tile) const {
    return plan_.num_pairs(plan_.tiles[static_cast<std::size_t>(tile)]);
  }

  const TilePlan& plan_;
  const Report& report_;
  Index done_ = 0, total_ = 0;
};

}  // namespace

void merge_shards(const std::string& out_path, const std::vector<std::string>& shard_paths,
                  const RunOptions& options, const std::function<void(Index, Index)>& on_progress) {
  const std::vector<RunReader> shares = open_shares(shard_paths);
  RunOptions whole = options;
  whole.shard.reset();
  const RunSpec& spec = shares.front().spec();
  RunWriter writer(out_path, spec, whole);
  MergeProgress progress(spec.plan, writer.tiles_to_do(), on_progress);
  auto share = shares.begin();
  Index num_done = writer.num_tiles() - static_cast<Index>(writer.tiles_to_do().size());
  for (const Index t : writer.tiles_to_do()) {
    if (options.stop.stop_requested()) {
      writer.interrupt();
      throw Error(ErrorKind::kInterrupted, fmt::format("{}: interrupted with {} of {} tiles done",
                                                       out_path, num_done, writer.num_tiles()));
    }
    while (share->tiles().empty() || share->tiles().back() < t) ++share;
    const std::vector<std::byte> packed = share->read_packed(t);
    if (hash64(packed) != share->stored_hash(t))
      refuse(
          fmt::format("{}: is damaged: tile {} does not match its hash; compute this share again",
                      share->path(), t));
    const Unpacked tile(spec, spec.plan.tiles[static_cast<std::size_t>(t)], packed);
    writer.write(tile.result());
    progress.advance(t);
    ++num_done;
  }
  writer.finish();
}

}  // namespace gramtile
