#include "io/solve/kernel_file.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "engine/core/errors.hpp"
#include "engine/solve/solve_context.hpp"
#include "io/files/file.hpp"
#include "io/run/spec/content_hash.hpp"

namespace gramtile {
namespace {

class FileKernel final : public SymmetricSource {
 public:
  FileKernel(const RunReader& reader, Index matrix) : reader_(reader), matrix_(matrix) {}

  Index size() const override {
    return reader_.spec().plan.matrices[static_cast<std::size_t>(matrix_)].num_rows;
  }
  void read(Range rows, Range columns, std::span<double> values) const override {
    reader_.read_entries(matrix_, rows, columns, values);
  }
  /// From the mirror image below the diagonal too: a column of chunks would be read for one of
  /// numbers.
  void read_row(Index row, std::span<double> values) const override {
    reader_.read_entries(matrix_, {row, row + 1}, {0, size()}, values);
  }

 private:
  const RunReader& reader_;
  Index matrix_;
};

InputFile open_input(const std::string& path) {
  FileSystem& system = posix_file_system();
  const int descriptor = system.open(path, OpenMode::kRead);
  if (descriptor < 0) throw IoError(path, "open", -descriptor);
  InputFile input(descriptor, path);
  system.close(descriptor);
  return input;
}

/// Diagonal matrix over `set`, when the plan has one.
std::optional<Index> diagonal_of(const RunSpec& spec, Index set) {
  for (std::size_t m = 0; m < spec.plan.matrices.size(); ++m) {
    if (spec.plan.matrices[m].kind == MatrixKind::kDiagonal && spec.axes[m].rows == set)
      return static_cast<Index>(m);
  }
  return std::nullopt;
}

void refuse_unusable(const RunReader& reader) {
  if (reader.shard())
    throw DataError(reader.path(), "is a share; put the shares together with kernel-merge");
  if (!reader.complete())
    throw Error(ErrorKind::kUnfinishedRun,
                reader.path() + ": is unfinished; continue the run that makes it with --resume");
}

}  // namespace

KernelFile::KernelFile(const std::string& path) : reader_(path), input_(open_input(path)) {
  refuse_unusable(reader_);
  const RunSpec& description = spec();
  const auto& matrices = description.plan.matrices;
  for (std::size_t m = 0; m < matrices.size(); ++m) {
    if (matrices[m].kind == MatrixKind::kSymmetric) kernel_matrix_ = static_cast<Index>(m);
  }
  if (!description.content.has(kKernelPlane) || kernel_matrix_ < 0)
    throw DataError(path, "has no Kxx to solve with; kernel-build makes one");
  kernel_ = std::make_unique<FileKernel>(reader_, kernel_matrix_);
  for (std::size_t m = 0; m < matrices.size(); ++m) {
    if (matrices[m].kind != MatrixKind::kCross) continue;
    const Index set = description.axes[m].rows;
    crosses_.push_back({set, static_cast<Index>(m), diagonal_of(description, set)});
  }
}

const ExampleSet& KernelFile::training_set() const {
  const Index set = spec().axes[static_cast<std::size_t>(kernel_matrix_)].rows;
  return spec().sets[static_cast<std::size_t>(set)];
}

void KernelFile::read_rows(const CrossKernel& cross, Range rows, std::span<double> values) const {
  reader_.read_entries(cross.matrix, rows, {0, num_training()}, values);
}

std::vector<double> KernelFile::read_diagonal(const CrossKernel& cross) const {
  std::vector<double> values(static_cast<std::size_t>(set_of(cross).num_examples));
  reader_.read_entries(cross.diagonal.value(), {0, static_cast<Index>(values.size())}, {0, 1},
                       values);
  return values;
}

KernelFacts KernelFile::check_and_examine(SolveContext& context) const {
  constexpr Index kBatch = 64;  // tiles between two looks at the stop token
  KernelFacts facts(num_training());
  const std::vector<Index>& tiles = reader_.tiles();
  for (Index first = 0; first < std::ssize(tiles); first += kBatch) {
    const Index count = std::min(kBatch, std::ssize(tiles) - first);
    std::vector<std::optional<PartFacts>> parts(static_cast<std::size_t>(count));
    context.for_each(count, [&](Index at) {
      const Index tile = tiles[static_cast<std::size_t>(first + at)];
      const Tile where = spec().plan.tiles[static_cast<std::size_t>(tile)];
      RunReader::KernelRows rows_of_kernel;
      if (where.matrix == kernel_matrix_) {
        PartFacts& part = parts[static_cast<std::size_t>(at)].emplace(where.rows, where.columns);
        rows_of_kernel = [&part](Range rows, std::span<const double> values) {
          part.add(rows, values);
        };
      }
      if (reader_.scan(tile, rows_of_kernel) != reader_.stored_hash(tile)) refuse_changed(tile);
    });
    for (const auto& part : parts) {
      if (part) part->add_to(facts);
    }
    context.step(0);
  }
  return facts;
}

void KernelFile::refuse_changed(Index tile) const {
  const Tile where = spec().plan.tiles[static_cast<std::size_t>(tile)];
  throw Error(
      ErrorKind::kPartMissing,
      fmt::format("{}: is damaged: tile {} of {} (rows {} to {}, columns {} to {}) was "
                  "changed since it was written",
                  path(), tile, spec().plan.matrices[static_cast<std::size_t>(where.matrix)].name,
                  where.rows.start, where.rows.stop - 1, where.columns.start,
                  where.columns.stop - 1));
}

std::string KernelFile::content_hash() const {
  ContentHasher hasher;
  hasher.add(fingerprint_of(spec()));
  for (const Index tile : reader_.tiles()) {
    const std::uint64_t hash = reader_.stored_hash(tile);
    hasher.add(std::as_bytes(std::span(&hash, 1)));
  }
  return hasher.digest();
}

}  // namespace gramtile
