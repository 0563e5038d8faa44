// Who computes: the schedule (engine/schedule/) hands a backend blocks of images and tiles of
// pairs, and knows nothing of how they are computed.
//
//   BackendKind ──footprint()→ memory plan
//        │ make()
//        ▼
//     Backend ──prepare(pixels)→ BackendBlock ──compute(tile)→ planes and vector of the tile
//
// engine/backend/lanes/ is the one that programs use. tests/support/reference_backend.hpp is
// another, of the textbook recursion: the shortest example of how one is written.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

#include "engine/core/index.hpp"
#include "engine/core/tile_content.hpp"
#include "engine/network/program.hpp"
#include "engine/parallel/executor.hpp"

namespace gramtile {

/// A block of images made ready. A backend derives its own.
struct BackendBlock {
  virtual ~BackendBlock() = default;
  Range examples;  ///< positions in their source
};

/// Room for the planes of one kind, as TilePlane has them.
struct PlaneRoom {
  std::string_view name;
  std::span<std::byte> entries;  ///< of the run's data type; no particular values before
};

/// What is computed of one tile: what the TileContent of the run lists.
struct TileJob {
  const BackendBlock* rows = nullptr;
  const BackendBlock* columns = nullptr;  ///< nullptr: a diagonal, the pairs (x, x) of `rows`
  /// Rows and columns are the same examples of a symmetric matrix: both triangles are filled, alike
  /// bit for bit, and the diagonal is the variance.
  bool triangle = false;
  /// ∂L/∂K [rows, columns], for a gradient.
  std::span<const double> upstream;
  /// ∂L/∂K of the mirror image [columns, rows]: of a symmetric matrix, off the diagonal.
  std::span<const double> mirrored_upstream;
  std::span<const PlaneRoom> planes;
  std::span<double> vector;  ///< [P], 0 before: the tile's part, its mirror image's included

  /// The room for the planes of that name; empty when they are not asked for.
  std::span<std::byte> plane(std::string_view name) const {
    for (const PlaneRoom& room : planes) {
      if (room.name == name) return room.entries;
    }
    return {};
  }
};

/// What a backend is made for. `program` must outlive it.
struct BackendRequest {
  const Program* program = nullptr;
  DataType data_type = DataType::kFloat32;
  Index tile_size = 0;  ///< most rows and columns of a tile, most examples of a block
  TileContent content = content_of(true, Derivative::kNone);
};

/// What a backend holds in memory [bytes], besides pixels, ∂L/∂K and results, at most.
struct Footprint {
  std::size_t block_bytes = 0;   ///< a block of tile_size examples
  std::size_t tile_bytes = 0;    ///< a tile while it is computed
  std::size_t thread_bytes = 0;  ///< buffers of one thread
};

class Backend {
 public:
  virtual ~Backend() = default;

  /// Makes `examples` ready; `pixels` [examples, C, H, W]. What `block` holds, nothing or a block
  /// of this backend that nobody uses, is replaced; its buffers may be used again. Called from one
  /// thread at a time, while others compute. Throws Error naming an example that cannot be held.
  virtual void prepare(Range examples, std::span<const double> pixels,
                       std::unique_ptr<BackendBlock>& block) = 0;

  /// Fills the results of `job`, with the same bits whatever the number of threads. May be called
  /// from several threads at once.
  virtual void compute(const TileJob& job) = 0;
};

/// A way to compute. Stateless; shared by all runs and threads.
class BackendKind {
 public:
  virtual ~BackendKind() = default;

  /// What the bits of a result depend on: an instruction set ("AVX2"), a device.
  virtual std::string_view name() const = 0;
  /// Throws Error(kUsage) when the content is not what this backend can compute; make() likewise.
  virtual Footprint footprint(const BackendRequest& request) const = 0;
  /// `executor` runs what the backend has to do in parallel, and must outlive it.
  virtual std::unique_ptr<Backend> make(const BackendRequest& request,
                                        Executor& executor) const = 0;
};

/// The one that a run takes when it names none. Declared here for the schedule, which must not know
/// any; defined by engine/backend/lanes/, which the program is linked with.
const BackendKind& default_backend();

}  // namespace gramtile
