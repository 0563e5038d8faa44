// A matrix of numbers in a file (∂L/∂K, its factors), read part by part: HDF5, .npy or .npz.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/core/index.hpp"

namespace gramtile {

class NumberMatrix {
 public:
  virtual ~NumberMatrix() = default;

  /// As messages name it: "U.h5:/dLdK", "U.npy".
  virtual const std::string& name() const = 0;
  virtual Index num_rows() const = 0;
  virtual Index num_columns() const = 0;

  /// Memory that reading takes beside the numbers: of compressed chunks, which are unpacked whole.
  virtual std::size_t unpack_bytes() const { return 0; }

  /// The part [rows, columns], row-major. Numbers of any type, as they are.
  virtual void read(Range rows, Range columns, std::span<double> values) = 0;
};

/// Opens `dataset` of the file at `path`; empty for .npy and for an .npz that holds one array.
/// Throws IoError, DataError (no matrix, no numbers), Error(kUsage) when an HDF5 file is named
/// without a dataset or an .npy file with one.
/// A vector [N] is refused, or with `vector_is_column` read as [N, 1].
std::unique_ptr<NumberMatrix> open_matrix(const std::string& path, const std::string& dataset,
                                          bool vector_is_column = false);

/// All of a matrix of targets, row-major. Throws DataError naming the first entry that is not
/// finite.
std::vector<double> read_targets(NumberMatrix& matrix);

}  // namespace gramtile
