#include "engine/train/matrix_room.hpp"

namespace gramtile {
namespace {

class DenseStore final : public SymmetricStore {
 public:
  explicit DenseStore(Index size) : size_(size), values_(as_size(size * size)) {}

  Index size() const override { return size_; }
  void read(Range rows, Range columns, std::span<double> values) const override {
    ArrayMatrix(values_, size_).read(rows, columns, values);
  }
  void write(Range rows, Range columns, std::span<const double> values) override {
    for (Index i = rows.start; i < rows.stop; ++i) {
      for (Index j = std::max(i, columns.start); j < columns.stop; ++j) {
        const Index at = (i - rows.start) * columns.size() + j - columns.start;
        values_[as_size(i * size_ + j)] = values[as_size(at)];
      }
    }
  }

 private:
  Index size_;
  std::vector<double> values_;
};

class FactorInMemory final : public FactoredKernel {
 public:
  FactorInMemory(const SymmetricSource& kernel, double jitter, const SolverOptions& options)
      : solver_(kernel, jitter, options) {}
  const KernelSolver& solver() const override { return solver_; }

 private:
  KernelSolver solver_;
};

class MemoryRoom final : public MatrixRoom {
 public:
  explicit MemoryRoom(const SolverOptions& options) : options_(options) {}

  std::unique_ptr<SymmetricStore> make_store(Index size) override {
    return std::make_unique<DenseStore>(size);
  }
  std::unique_ptr<FactoredKernel> factor(const SymmetricSource& kernel, double jitter) override {
    return std::make_unique<FactorInMemory>(kernel, jitter, options_);
  }
  const SolverOptions& options() const override { return options_; }

 private:
  SolverOptions options_;
};

}  // namespace

std::unique_ptr<MatrixRoom> make_memory_room(const SolverOptions& options) {
  return std::make_unique<MemoryRoom>(options);
}

void store_inverse(const KernelSolver& solver, SymmetricStore& store) {
  std::vector<double> mirrored;
  solver.inverse_tiles([&](Range rows, Range columns, std::span<const double> values) {
    if (rows.start == columns.start) return store.write(rows, columns, values);
    mirrored.resize(values.size());
    for (Index i = 0; i < rows.size(); ++i) {
      for (Index j = 0; j < columns.size(); ++j)
        mirrored[as_size(j * rows.size() + i)] = values[as_size(i * columns.size() + j)];
    }
    store.write(columns, rows, mirrored);
  });
}

}  // namespace gramtile
