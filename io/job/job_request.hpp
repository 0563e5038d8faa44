// What a job is asked for: plain values, whoever asks (a command, another program, Python). Every
// field has the meaning of the command-line option that docs/cli.md describes; nothing here knows
// command lines.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "engine/backend/backend.hpp"
#include "engine/core/derivative.hpp"
#include "engine/core/index.hpp"
#include "engine/core/ports.hpp"
#include "engine/core/tile.hpp"
#include "engine/network/network.hpp"
#include "io/data/dataset.hpp"
#include "io/run/spec/run_spec.hpp"
#include "io/run/write/run_options.hpp"

namespace gramtile {

/// One set of images: from a source of docs/data_sources.md, or of the caller.
struct JobSet {
  std::string name;  ///< "train", "validation", "test": matrices name their axes by it
  /// PATH[:/DATASET][#WHICH]; of the caller's images, what files and messages call them. Sets with
  /// neither source nor images are left out, and with them what they would be an axis of.
  std::string source = {};
  DatasetRole role = DatasetRole::kTrain;  ///< which part of a source that has several
  std::string label_source = {};  ///< PATH[:/DATASET] in place of the labels beside the images

  /// The caller's images, read instead of `source`, again and again; must outlive the job.
  BlockSource* images = nullptr;
  std::vector<std::int64_t> labels = {};  ///< of the caller's images, one each; or none
};

/// One matrix, by the names of the sets on its axes.
struct JobMatrix {
  std::string name;  ///< "Kxx"
  MatrixKind kind = MatrixKind::kSymmetric;
  std::string rows;
  std::string columns = {};  ///< empty for a symmetric or diagonal one
};

/// ∂L/∂K of a gradient, of the shape of the first matrix: one of the three.
struct JobUpstream {
  std::string matrix = {};                ///< FILE[:/DATASET], [rows, columns]
  std::vector<std::string> factors = {};  ///< U and V, each FILE[:/DATASET]: ∂L/∂K = U·Vᵀ
  MatrixSource* values = nullptr;         ///< of the caller; must outlive the job
  std::string description = {};           ///< what files call the caller's

  bool is_given() const { return values != nullptr || !matrix.empty() || !factors.empty(); }
};

struct JobRequest {
  Network network;
  std::string network_name;  ///< its file, or what messages about it begin with
  std::vector<JobSet> sets;
  std::vector<JobMatrix> matrices;
  bool with_kernel = true;
  Derivative derivative = Derivative::kNone;
  JobUpstream upstream;

  DataType data_type = DataType::kFloat32;
  Index tile_size = 0;  ///< 0: chosen to suit
  std::size_t memory_bytes = std::size_t{2} << 30;
  int num_threads = 0;                   ///< 0: every hardware thread
  const BackendKind* backend = nullptr;  ///< who computes; nullptr: default_backend()
  bool channels_last = false;            ///< arrays [N, a, b, c] of sources are [N, H, W, C]

  std::string out;  ///< the file to write
  StartMode mode = StartMode::kCreate;
  std::optional<Shard> shard;
  DatasetLayout layout = DatasetLayout::kPlain;
  bool no_lock = false;
  bool mixed_instruction_sets = false;  ///< see RunOptions
  std::string command;                  ///< stored in the file as provenance

  /// When requested, the job is given up within a few hundredths of a second: it throws
  /// Error(kInterrupted), and only the tiles in hand are lost. (run()'s `stop` finishes them.)
  std::stop_token abandon = {};

  /// Told what the caller's user should know: of labels that were left out, of axes that look
  /// exchanged, of a run that goes on.
  std::function<void(const std::string&)> notice;
};

/// How far a job is.
struct JobProgress {
  Index done_pairs = 0;   ///< of this run, those of earlier starts included
  Index total_pairs = 0;  ///< of this run: of the share, if it is one
};

/// How a job ended.
struct JobOutcome {
  bool complete = false;  ///< the file is there; else the job was stopped and can be resumed
  bool already_complete = false;  ///< it was there before
  Index num_tiles = 0;            ///< of this run
  Index num_done = 0;             ///< of them, those that are finished
  Index computed_pairs = 0;       ///< by this call
  double seconds = 0;             ///< that it took
};

/// The largest tile that is ever chosen or accepted: beyond it a single tile of a jacobian no
/// longer fits anywhere.
inline constexpr Index kMaxTileSize = 8192;

}  // namespace gramtile
