// Runs without an engine: a small spec of each kind, and tiles whose numbers are a fixed function
// of their place, so that any way to the finished file must give the same bytes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "engine/core/errors.hpp"
#include "io/hdf5/hdf5.hpp"
#include "io/run/write/run_writer.hpp"

namespace gramtile::test {

/// A folder that is removed at the end.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;

  std::string file(const std::string& name) const { return (path_ / name).string(); }
  const std::filesystem::path& path() const { return path_; }
  void clear() const;

 private:
  std::filesystem::path path_;
};

/// Kxx [N, N], Kxtx [M, N], Kt_diag [M] in tiles of 8: 36 + 32 + 4 = 72 tiles, edge tiles on
/// every side, labels for one set.
RunSpec kernel_spec(Index num_train = 61, Index num_test = 30);
/// Kxx [N, N] and the gradient by three parameters: 36 tiles.
RunSpec gradient_spec(Index num_train = 61);
/// The same for campaigns that run them once per file call: in the short form of 20 and of 10
/// tiles, so that every call is still tried.
RunSpec campaign_kernel_spec();
RunSpec campaign_gradient_spec();
/// Jacobian of Kxtx [13, 21] by two parameters, float64, with the kernel.
RunSpec jacobian_spec();

/// Kxx [21, 21], Kxtx [13, 21], Kt_diag [13] with planes and a vector that no backend computes and
/// no file had: "spin", one, before the kernel; "charge", one per parameter; "moment". 6 + 6 + 2
/// tiles.
RunSpec made_up_spec();

/// The first plane of a group, for fake_entry().
Index fake_plane(const RunSpec& spec, const std::string& group);

/// K[row, column] of a matrix; ∂K/∂θ_p for plane p + 1. Finite, symmetric where the matrix is.
double fake_entry(const RunSpec& spec, Index matrix, Index plane, Index row, Index column);

/// Delivers `tile` with fake numbers.
void deliver(const RunSpec& spec, Index tile, TileSink& sink);

/// What a run promised before it ended.
struct Promise {
  Index committed_tiles = 0;  ///< done when commit() last returned (or when the run was opened)
  Index damaged_tiles = 0;    ///< committed before, found bad on opening
  bool finished = false;
};

/// Opens, delivers what is to be done with a commit() after every 16 tiles, finishes. `promise` is
/// kept up to date, also when this throws.
void run_to_end(const std::string& out, const RunSpec& spec, const RunOptions& options,
                Promise& promise);

std::vector<char> read_bytes(const std::string& path);
void write_bytes(const std::string& path, const std::vector<char>& bytes);

/// Bytes of an undisturbed run.
std::vector<char> expected_bytes(const RunSpec& spec, std::optional<Shard> shard = {});

/// run_to_end for tests that need no promise.
void run(const std::string& out, const RunSpec& spec, const RunOptions& options = {});
RunOptions with_mode(StartMode mode);
RunOptions for_shard(Index index, Index count);

/// Delivers the first `count` tiles and interrupts.
void interrupt_after(const std::string& out, const RunSpec& spec, Index count);

/// Changes one bit of a file.
void flip_byte(const std::string& path, std::size_t position);

/// A whole dataset, row-major.
std::vector<double> read_all(const hdf5::Dataset& dataset);

/// Runs `action`, which must throw an Error; returns it.
Error error_of(const std::function<void()>& action);
bool mentions(const Error& error, const std::string& text);

/// `normal`; in the long form (GRAMTILE_LONG=1) `when_long`; the number in `variable`, when it is
/// set.
Index campaign_size(const char* variable, Index normal, Index when_long);

}  // namespace gramtile::test
