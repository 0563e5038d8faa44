// ∂L/∂K of an objective, as the gradient pass reads it: a symmetric matrix, a product of factors,
// and a multiple of the identity.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "engine/core/ports.hpp"
#include "engine/solve/symmetric_source.hpp"
#include "engine/train/matrix_room.hpp"

namespace gramtile {

/// scale·M + Σ_r u_r·v_rᵀ + diagonal·I, symmetric as a whole.
class ObjectiveUpstream final : public MatrixSource {
 public:
  explicit ObjectiveUpstream(Index size) : size_(size) {}

  /// M of the caller, which must live as long, or its own.
  void set_matrix(const SymmetricSource& matrix, double scale);
  void own_matrix(std::unique_ptr<SymmetricStore> matrix, double scale);
  /// u·vᵀ for each column of u and v, both [N, columns], row-major; with u ≠ v their mirror image
  /// has to be added, too.
  void add_factors(std::vector<double> u, std::vector<double> v, Index columns);
  void add_to_diagonal(double value) { diagonal_ += value; }

  Index size() const { return size_; }
  /// Of all that was added. Reads the matrix's diagonal.
  double trace() const;

  Index num_rows() const override { return size_; }
  Index num_columns() const override { return size_; }
  void read(Range rows, Range columns, std::span<double> values) const override;

 private:
  struct Factors {
    std::vector<double> u, v;
    Index columns;
  };
  void read_matrix(Range rows, Range columns, std::span<double> values) const;

  const Index size_;
  const SymmetricSource* matrix_ = nullptr;
  std::unique_ptr<SymmetricStore> owned_;
  double scale_ = 0, diagonal_ = 0;
  std::vector<Factors> factors_;
};

}  // namespace gramtile
