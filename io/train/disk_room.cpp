#include "io/train/disk_room.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>

#include "engine/solve/solve_context.hpp"
#include "io/files/file.hpp"
#include "io/solve/work_file.hpp"

namespace gramtile {
namespace {

std::span<const std::byte> bytes_of(std::span<const double> values) {
  return std::as_bytes(values);
}
std::span<std::byte> bytes_of(std::span<double> values) { return std::as_writable_bytes(values); }

/// A file without a name, of which `num_bytes` are reserved.
File nameless_file(FileSystem& system, const std::string& folder, std::uint64_t num_bytes) {
  static std::atomic<int> count = 0;
  const std::string path =
      folder + "/.gramtile-" + std::to_string(::getpid()) + "-" + std::to_string(count++);
  File file(system, path, OpenMode::kCreateNew);
  remove_file(system, path);
  file.truncate(num_bytes);
  file.allocate(num_bytes);
  return file;
}

/// Tiles on and above the diagonal, block row by block row, each row-major with rows of `edge`.
class DiskStore final : public SymmetricStore {
 public:
  DiskStore(FileSystem& system, const std::string& folder, Index size, Index edge)
      : grid_{size, edge}, file_(nameless_file(system, folder, num_bytes(grid_))) {}

  static std::uint64_t num_bytes(const FactorGrid& grid) {
    const Index blocks = grid.num_blocks();
    return static_cast<std::uint64_t>(blocks * (blocks + 1) / 2 * grid.edge * grid.edge) * 8;
  }

  Index size() const override { return grid_.size; }

  void read(Range rows, Range columns, std::span<double> values) const override {
    for_parts(rows, columns, [&](Index i, Range part, std::uint64_t offset) {
      const Index at = (i - rows.start) * columns.size() + part.start - columns.start;
      file_.read_all(offset, bytes_of(values.subspan(as_size(at), as_size(part.size()))));
    });
  }

  void write(Range rows, Range columns, std::span<const double> values) override {
    for_parts(rows, columns, [&](Index i, Range part, std::uint64_t offset) {
      const Index at = (i - rows.start) * columns.size() + part.start - columns.start;
      file_.write(offset, bytes_of(values.subspan(as_size(at), as_size(part.size()))));
    });
  }

 private:
  /// do_it(row, columns of it in one tile, where they lie in the file), on and above the diagonal.
  template <class Do>
  void for_parts(Range rows, Range columns, const Do& do_it) const {
    for (Index i = rows.start; i < rows.stop; ++i) {
      for (Index j = std::max(columns.start, i); j < columns.stop;) {
        const Index block = j / grid_.edge;
        const Range part{j, std::min(columns.stop, (block + 1) * grid_.edge)};
        do_it(i, part, offset_of(i, j));
        j = part.stop;
      }
    }
  }
  std::uint64_t offset_of(Index i, Index j) const {
    const Index edge = grid_.edge, blocks = grid_.num_blocks();
    const Index block_row = i / edge, block_column = j / edge;
    const Index tiles_before = block_row * blocks - block_row * (block_row - 1) / 2;
    const Index tile = tiles_before + block_column - block_row;
    return static_cast<std::uint64_t>((tile * edge + i % edge) * edge + j % edge) * 8;
  }

  const FactorGrid grid_;
  File file_;
};

/// Block columns, as WorkFile has them, for one process alone.
class DiskFactorStore final : public FactorStore {
 public:
  DiskFactorStore(FileSystem& system, const std::string& folder, FactorGrid grid,
                  std::size_t panel_bytes)
      : grid_(grid),
        panel_bytes_(panel_bytes),
        file_(nameless_file(system, folder, WorkFile::num_bytes(grid))) {}

  const FactorGrid& grid() const override { return grid_; }
  bool is_resident() const override { return false; }
  Index num_kept() const override { return num_kept_; }
  Range next_panel() const override { return WorkFile::panel_from(grid_, num_kept_, panel_bytes_); }
  std::vector<std::span<double>> make(Range panel) override {
    made_.clear();
    std::vector<std::span<double>> spans;
    for (Index column = panel.start; column < panel.stop; ++column)
      spans.emplace_back(made_.emplace_back(as_size(grid_.column_entries(column))));
    return spans;
  }
  void keep(Range panel) override {
    for (std::size_t i = 0; i < made_.size(); ++i)
      file_.write(offset_of(panel.start + static_cast<Index>(i)),
                  bytes_of(std::span<const double>(made_[i])));
    made_.clear();
    num_kept_ = panel.stop;
  }
  void restart() override { num_kept_ = 0; }
  const double* tile(Index row, Index column, std::span<double> buffer) const override {
    const auto entries = as_size(grid_.block(row).size() * grid_.block(column).size());
    const auto offset =
        offset_of(column) + static_cast<std::uint64_t>(grid_.tile_offset(row, column)) * 8;
    file_.read_all(offset, bytes_of(buffer.first(entries)));
    return buffer.data();
  }

 private:
  std::uint64_t offset_of(Index column) const {
    return static_cast<std::uint64_t>(grid_.entries_before(column)) * 8;
  }

  const FactorGrid grid_;
  const std::size_t panel_bytes_;
  File file_;
  Index num_kept_ = 0;
  std::vector<std::vector<double>> made_;
};

class FactorOnDisk final : public FactoredKernel {
 public:
  FactorOnDisk(FileSystem& system, const std::string& folder, const SymmetricSource& kernel,
               double jitter, const SolverOptions& options)
      : store_(system, folder, {kernel.size(), options.edge}, options.memory_bytes),
        solver_(kernel, facts_of(kernel, options), jitter, store_, options) {}
  const KernelSolver& solver() const override { return solver_; }

 private:
  static KernelFacts facts_of(const SymmetricSource& kernel, const SolverOptions& options);

  DiskFactorStore store_;
  KernelSolver solver_;
};

class DiskRoom final : public MatrixRoom {
 public:
  DiskRoom(FileSystem& system, std::string folder, const SolverOptions& options)
      : system_(system), folder_(std::move(folder)), options_(options) {}

  std::unique_ptr<SymmetricStore> make_store(Index size) override {
    return std::make_unique<DiskStore>(system_, folder_, size, options_.edge);
  }
  std::unique_ptr<FactoredKernel> factor(const SymmetricSource& kernel, double jitter) override {
    return std::make_unique<FactorOnDisk>(system_, folder_, kernel, jitter, options_);
  }
  const SolverOptions& options() const override { return options_; }

 private:
  FileSystem& system_;
  const std::string folder_;
  const SolverOptions options_;
};

}  // namespace

KernelFacts FactorOnDisk::facts_of(const SymmetricSource& kernel, const SolverOptions& options) {
  SolveContext context(options);
  return examine(kernel, context);
}

std::unique_ptr<MatrixRoom> make_disk_room(const std::string& folder, const SolverOptions& options,
                                           FileSystem* file_system) {
  FileSystem& system = file_system != nullptr ? *file_system : posix_file_system();
  return std::make_unique<DiskRoom>(system, folder, options);
}

double disk_room_bytes(Index size, Index edge) {
  const FactorGrid grid{size, edge};
  const auto store = static_cast<double>(DiskStore::num_bytes(grid));
  const auto factor = static_cast<double>(WorkFile::num_bytes(grid));
  return store + std::max(store + factor, 2 * store);
}

}  // namespace gramtile
