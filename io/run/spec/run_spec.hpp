// What a run is: which matrices of which data under which network, and how they are stored. Two
// runs with equal specs give equal bytes (on any machine, thread count, with any interruption), so
// a spec is also what a resumed run and merged shards are compared by.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/core/index.hpp"
#include "engine/core/tile.hpp"
#include "engine/core/tile_content.hpp"
#include "engine/core/version.hpp"
#include "io/run/spec/mixed_sets.hpp"

namespace gramtile {

/// Shapes of the datasets in the file.
enum class DatasetLayout {
  kPlain,  ///< Kxx [N, N], Kxtx [M, N], Kt_diag [M]
  kCnnGp,  ///< the same with a leading axis of 1, as cnn-gp's scripts read them
};

/// One set of examples that a run takes images from.
struct ExampleSet {
  std::string name;    ///< "train", "validation", "test": names the axes of the matrices
  std::string source;  ///< as the user named it; stored, not compared
  std::string hash;    ///< of the pixels, see read_contents()
  Index num_examples = 0;
  Index first = 0;                   ///< position of example 0 in its source
  std::vector<std::int64_t> labels;  ///< [num_examples], or empty
  /// Position of each example in its source, [num_examples]; empty when they are first, first + 1,
  /// …
  std::vector<std::int64_t> positions;
  bool scattered = false;  ///< there are positions; true before they were read

  std::int64_t position(Index example) const {
    return positions.empty() ? first + example : positions[static_cast<std::size_t>(example)];
  }
};

/// Which sets the rows and columns of one matrix come from: indices into RunSpec::sets. Columns are
/// ignored for kDiagonal; for kSymmetric both are the same.
struct MatrixAxes {
  Index rows = 0;
  Index columns = 0;
};

struct RunSpec {
  TilePlan plan;
  std::vector<MatrixAxes> axes;  ///< by matrix of the plan
  std::vector<ExampleSet> sets;
  DataType data_type = DataType::kFloat32;
  DatasetLayout layout = DatasetLayout::kPlain;
  /// What the file holds of every tile: for each group of planes a dataset prefix + name of every
  /// matrix, with an axis [P] in front where there is one for each parameter; for a vector V
  /// datasets V [P] and `tile_V`.
  TileContent content = content_of(true, Derivative::kNone);

  std::string network;                       ///< canonical JSON text, without comments
  std::vector<std::string> parameter_names;  ///< [P]
  std::vector<double> parameter_values;      ///< [P]
  std::string upstream_hash;                 ///< of ∂L/∂K for kGradient; empty otherwise
  std::string instruction_set;               ///< that began the file
  MixedSets mixture;                         ///< where others took part
  int numerics_version = kNumericsVersion;

  // Provenance: stored, never compared. A resumed run keeps that of its first start.
  std::string upstream;  ///< as the user named it
  /// The command without what cannot change a byte of the result (--out, --threads, --memory,
  /// --resume, --overwrite, --shard, --mixed-instruction-sets, --quiet), so that shards and resumed
  /// runs agree on it.
  std::string command;
  std::string created;  ///< see creation_time()
};

/// A plan of more tiles than this (1 GB of plan) is refused, in writing and in reading.
inline constexpr Index kMaxRunTiles = 10'000'000;

/// Now in UTC, "2026-01-31T23:59:59Z"; the time in the environment variable SOURCE_DATE_EPOCH
/// (seconds since 1970) when that is set, for runs that have to agree in every byte.
std::string creation_time();

/// Everything two runs have to share, by name, in a fixed order: ("data type", "float32"), …
struct SpecFact {
  std::string name;
  std::string value;
};
std::vector<SpecFact> facts_of(const RunSpec& spec);

/// 32 hexadecimal digits over the facts: XXH3-128.
std::string fingerprint_of(const RunSpec& spec);

/// "data type (float32, now float64); parameter conv0.var_weight (2.5, now 2.79)"; "" when equal.
std::string differences(const std::vector<SpecFact>& before, const std::vector<SpecFact>& now);

/// What to do about it when instruction sets are among the differences: "; …" to put behind them,
/// or "".
std::string advice_to_resume(const std::vector<SpecFact>& before, const std::vector<SpecFact>& now);
std::string advice_to_merge(const std::vector<SpecFact>& before, const std::vector<SpecFact>& now);

/// The facts but for the instruction set: what is compared where mixtures are accepted.
std::vector<SpecFact> without_instruction_set(std::vector<SpecFact> facts);

/// The spec as JSON text and back. Labels are left out (files keep them as datasets), only their
/// hash stays. `spec_from_json` throws DataError naming `file`.
std::string spec_to_json(const RunSpec& spec);
RunSpec spec_from_json(const std::string& text, const std::string& file);

/// Paths and commands are bytes; replaces what is not UTF-8 in them, as the JSON text does, so that
/// attributes and description agree.
RunSpec with_utf8_texts(RunSpec spec);

}  // namespace gramtile
