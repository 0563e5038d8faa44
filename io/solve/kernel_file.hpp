// A finished kernel file as the solver sees it: K(X, X) as a matrix to be factored, the rows of
// K(Y, X) and the diagonals of the sets to be predicted. The file is only read.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/solve/kernel_facts.hpp"
#include "engine/solve/symmetric_source.hpp"
#include "io/files/input_files.hpp"
#include "io/run/read/run_reader.hpp"

namespace gramtile {

/// A set whose kernel with the training set is in the file.
struct CrossKernel {
  Index set = 0;                  ///< in RunSpec::sets
  Index matrix = 0;               ///< in the plan: Kxvx, Kxtx
  std::optional<Index> diagonal;  ///< Kv_diag, Kt_diag, where the file has it
};

class KernelFile {
 public:
  /// Throws what RunReader throws; Error(kUnfinishedRun) for an unfinished file, DataError for a
  /// share, and for a file without Kxx (of kernel-grad, or of one set alone).
  explicit KernelFile(const std::string& path);

  const std::string& path() const { return reader_.path(); }
  const RunSpec& spec() const { return reader_.spec(); }
  const InputFile& input() const { return input_; }

  /// Kxx; lives as long as this.
  const SymmetricSource& kernel() const { return *kernel_; }
  Index num_training() const { return kernel_->size(); }
  const ExampleSet& training_set() const;

  const std::vector<CrossKernel>& crosses() const { return crosses_; }
  const ExampleSet& set_of(const CrossKernel& cross) const {
    return spec().sets[static_cast<std::size_t>(cross.set)];
  }
  /// Rows of K(Y, X), [rows, N].
  void read_rows(const CrossKernel& cross, Range rows, std::span<double> values) const;
  /// The variances of a set that has its diagonal, [n].
  std::vector<double> read_diagonal(const CrossKernel& cross) const;

  /// Compares every tile with its hash, and gathers what the bytes that were hashed say of Kxx: one
  /// pass over the file. Throws Error(kPartMissing) naming a tile that was changed, Error(kOther)
  /// naming an entry of Kxx that is not finite, Error(kInterrupted). The facts' bits do not depend
  /// on the number of threads.
  KernelFacts check_and_examine(SolveContext& context) const;

  /// Identifies the numbers: XXH3-128 over description and hashes of tiles.
  std::string content_hash() const;

 private:
  [[noreturn]] void refuse_changed(Index tile) const;

  RunReader reader_;
  InputFile input_;
  Index kernel_matrix_ = -1;
  std::unique_ptr<SymmetricSource> kernel_;
  std::vector<CrossKernel> crosses_;
};

}  // namespace gramtile
