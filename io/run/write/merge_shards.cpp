// Shares into one file, tile by tile: no more than one tile and the writer's queue in memory.
#include "io/run/write/merge_shards.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <utility>

#include "engine/core/errors.hpp"
#include "io/run/read/run_reader.hpp"
#include "io/run/spec/content_hash.hpp"
#include "io/run/spec/tile_map.hpp"
#include "io/run/write/run_writer.hpp"

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

/// What is kept of a share between its check and its turn: files are open one at a time, and plan,
/// labels and positions are those of the whole.
struct Share {
  std::string path;
  Index index = 0;
  std::string fingerprint;
};

/// "missing: share 1/4, 3/4": names ten of them and counts the rest.
std::string missing_shares(const std::map<Index, Share>& present, Index count) {
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

/// Names in the order of the tiles, so that the result does not depend on the order of the files;
/// one name is no mixture.
void settle_mixture(MixedSets found, RunSpec& spec) {
  spec.mixture = {};
  for (const std::int8_t index : found.by_tile)
    spec.mixture.by_tile.push_back(
        spec.mixture.index_of(found.names[static_cast<std::size_t>(index)]));
  if (!spec.mixture.empty()) spec.instruction_set = spec.mixture.names.front();
  if (spec.mixture.names.size() < 2) spec.mixture = {};
}

/// Looks at every share and gathers what the whole is.
class Gathering {
 public:
  explicit Gathering(bool mixed_instruction_sets) : mixed_(mixed_instruction_sets) {}

  void add(const RunReader& reader) {
    const Shard shard = *reader.shard();
    if (shares_.empty()) {
      first_ = reader.path();
      facts_ = comparable(reader.spec());
      count_ = shard.count;
      spec_ = reader.spec();
      if (mixed_) mixture_.by_tile.resize(spec_.plan.tiles.size(), MixedSets::kUnknown);
    }
    refuse_foreign(reader);
    const bool lowest = !shares_.empty() && shard.index < shares_.begin()->first;
    if (lowest) spec_ = reader.spec();  // its time and command
    const auto [place, is_new] = shares_.try_emplace(
        shard.index, Share{reader.path(), shard.index, fingerprint_of(reader.spec())});
    if (!is_new)
      refuse(fmt::format("{} and {} overlap: both are share {}/{}", place->second.path,
                         reader.path(), shard.index, count_));
    if (!mixed_) return;
    for (const Index t : reader.tiles())
      mixture_.by_tile[static_cast<std::size_t>(t)] = mixture_.index_of(reader.instruction_set(t));
  }

  /// All shares of one run, by index.
  const std::map<Index, Share>& finish() {
    if (static_cast<Index>(shares_.size()) < count_) refuse(missing_shares(shares_, count_));
    if (mixed_) settle_mixture(std::move(mixture_), spec_);
    return shares_;
  }

  const RunSpec& spec() const { return spec_; }

 private:
  std::vector<SpecFact> comparable(const RunSpec& spec) const {
    return mixed_ ? without_instruction_set(facts_of(spec)) : facts_of(spec);
  }

  void refuse_foreign(const RunReader& reader) const {
    const std::vector<SpecFact> found = comparable(reader.spec());
    const std::string changed = differences(facts_, found);
    if (!changed.empty())
      refuse(fmt::format("{}: belongs to another run than {}: {}{}", reader.path(), first_, changed,
                         advice_to_merge(facts_, found)));
    if (!mixed_ && !reader.spec().mixture.empty())
      refuse(
          fmt::format("{}: was made with several instruction sets ({}); accept the mixture with "
                      "--mixed-instruction-sets, or compute this share again with one "
                      "GRAMTILE_TARGET in the environment",
                      reader.path(), joined(reader.spec().mixture.names)));
    if (reader.shard()->count != count_)
      refuse(fmt::format("{}: is one of {} shares, {} is one of {}", reader.path(),
                         reader.shard()->count, first_, count_));
  }

  bool mixed_;
  std::string first_;  // the file that the others are compared with
  std::vector<SpecFact> facts_;
  Index count_ = 0;
  RunSpec spec_;
  MixedSets mixture_;
  std::map<Index, Share> shares_;
};

/// The shares in their order, one open at a time.
class OpenShare {
 public:
  explicit OpenShare(const std::map<Index, Share>& shares) : next_(shares.begin()) {}

  /// The one that has tile `t`; tiles come in increasing order.
  const RunReader& with(Index t) {
    while (!reader_ || reader_->tiles().empty() || reader_->tiles().back() < t) {
      const Share& share = (next_++)->second;
      reader_.reset();
      reader_.emplace(open_share(share.path));
      if (fingerprint_of(reader_->spec()) != share.fingerprint ||
          reader_->shard()->index != share.index)
        refuse(share.path + ": was replaced while it was merged");
    }
    return *reader_;
  }

 private:
  std::map<Index, Share>::const_iterator next_;
  std::optional<RunReader> reader_;
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
  if (shard_paths.empty()) throw Error(ErrorKind::kUsage, "no shares given");
  Gathering gathering(options.mixed_instruction_sets);
  for (const std::string& path : shard_paths) gathering.add(open_share(path));
  OpenShare share(gathering.finish());
  RunOptions whole = options;
  whole.shard.reset();
  whole.mixed_instruction_sets = false;  // who made what is known from the start
  const RunSpec& spec = gathering.spec();
  RunWriter writer(out_path, spec, whole);
  MergeProgress progress(spec.plan, writer.tiles_to_do(), on_progress);
  Index num_done = writer.num_tiles() - static_cast<Index>(writer.tiles_to_do().size());
  for (const Index t : writer.tiles_to_do()) {
    if (options.stop.stop_requested()) {
      writer.interrupt();
      throw Error(ErrorKind::kInterrupted, fmt::format("{}: interrupted with {} of {} tiles done",
                                                       out_path, num_done, writer.num_tiles()));
    }
    const RunReader& reader = share.with(t);
    const std::vector<std::byte> packed = reader.read_packed(t);
    if (hash64(packed) != reader.stored_hash(t))
      refuse(
          fmt::format("{}: is damaged: tile {} does not match its hash; compute this share again",
                      reader.path(), t));
    const UnpackedTile tile(spec, spec.plan.tiles[static_cast<std::size_t>(t)], packed);
    writer.write(tile.result());
    progress.advance(t);
    ++num_done;
  }
  writer.finish();
}

}  // namespace gramtile
