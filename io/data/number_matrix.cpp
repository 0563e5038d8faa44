#include "io/data/number_matrix.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>
#include <vector>

#include "engine/core/errors.hpp"
#include "io/data/bad_data.hpp"
#include "io/data/element.hpp"
#include "io/data/file_format.hpp"
#include "io/data/npy.hpp"
#include "io/data/npz.hpp"
#include "io/data/raw_array.hpp"
#include "io/hdf5/hdf5.hpp"

namespace gramtile {
namespace {

// A compressed matrix of any size goes to a temporary file: memory is for tiles.
constexpr std::uint64_t kUnpackInMemory = 0;

[[noreturn]] void refuse_shape(const std::string& name, const std::string& shape) {
  throw DataError(name, "has shape " + shape + "; expected a matrix");
}

class Hdf5Matrix : public NumberMatrix {
 public:
  Hdf5Matrix(hdf5::Dataset dataset, bool vector_is_column)
      : dataset_(std::move(dataset)), name_(dataset_.file() + ":/" + dataset_.name()) {
    const std::vector<std::uint64_t> shape(dataset_.shape().begin(), dataset_.shape().end());
    is_vector_ = vector_is_column && shape.size() == 1;
    if (shape.size() != 2 && !is_vector_) refuse_shape(name_, shape_text(shape));
    const auto kind = dataset_.type().kind;
    if (kind != hdf5::ElementClass::kFloat && kind != hdf5::ElementClass::kInteger) {
      throw DataError(name_, "holds " + dataset_.type().name() + " values; expected numbers");
    }
  }

  const std::string& name() const override { return name_; }
  Index num_rows() const override { return dataset_.shape()[0]; }
  Index num_columns() const override { return is_vector_ ? 1 : dataset_.shape()[1]; }
  std::size_t unpack_bytes() const override { return dataset_.unpack_bytes(); }
  void read(Range rows, Range columns, std::span<double> values) override {
    const std::array ranges{rows, columns};
    dataset_.read(std::span(ranges).first(is_vector_ ? 1 : 2), values);
  }

 private:
  hdf5::Dataset dataset_;
  std::string name_;
  bool is_vector_ = false;
};

class RawMatrix : public NumberMatrix {
 public:
  RawMatrix(RawArray array, bool vector_is_column) : array_(std::move(array)) {
    if (vector_is_column && array_.shape.size() == 1) array_.shape.push_back(1);
    if (array_.shape.size() != 2) refuse_shape(name(), shape_text(array_.shape));
    array_.type.is_plain = array_.type.is_integer();
  }

  const std::string& name() const override { return array_.bytes->name(); }
  Index num_rows() const override { return static_cast<Index>(array_.shape[0]); }
  Index num_columns() const override { return static_cast<Index>(array_.shape[1]); }

  void read(Range rows, Range columns, std::span<double> values) override {
    const auto width = static_cast<std::size_t>(columns.size());
    const auto element_bytes = static_cast<std::size_t>(array_.type.size);
    std::vector<std::byte> row_bytes(width * element_bytes);
    for (Index row = rows.start; row < rows.stop; ++row) {
      const auto first = static_cast<std::uint64_t>(row * num_columns() + columns.start);
      array_.bytes->read(array_.offset + first * element_bytes, row_bytes);
      decode_pixels(array_.type, row_bytes,
                    values.subspan(static_cast<std::size_t>(row - rows.start) * width, width));
    }
  }

 private:
  RawArray array_;
};

}  // namespace

std::unique_ptr<NumberMatrix> open_matrix(const std::string& path, const std::string& dataset,
                                          bool vector_is_column) {
  SharedBytes bytes = open_file(path);
  const FileFormat format = format_of(path, bytes);
  const auto misuse = [&](const char* problem) {
    throw Error(ErrorKind::kUsage, fmt::format("'{}' {}", printable(path, 200), problem));
  };
  switch (format) {
    case FileFormat::kNpy:
      if (!dataset.empty()) misuse("is an .npy file, which holds one array without a name");
      return std::make_unique<RawMatrix>(parse_npy(std::move(bytes)), vector_is_column);
    case FileFormat::kNpz:
      return std::make_unique<RawMatrix>(
          open_npz_array(bytes, dataset.empty() ? "" : dataset.substr(1), DatasetRole::kTrain),
          vector_is_column);
    case FileFormat::kHdf5:
      if (dataset.empty()) misuse("is not FILE:/DATASET");
      return std::make_unique<Hdf5Matrix>(hdf5::File(path).dataset(dataset), vector_is_column);
    default:
      break;
  }
  throw DataError(bytes->name(), "expected a matrix in an HDF5, .npy or .npz file");
}

std::vector<double> read_targets(NumberMatrix& matrix) {
  const Index columns = matrix.num_columns();
  std::vector<double> values(static_cast<std::size_t>(matrix.num_rows() * columns));
  matrix.read({0, matrix.num_rows()}, {0, columns}, values);
  const auto bad = std::ranges::find_if(values, [](double value) { return !std::isfinite(value); });
  if (bad == values.end()) return values;
  const Index at = bad - values.begin();
  throw DataError(matrix.name(), fmt::format("entry [{}, {}] is {}; every target must be finite",
                                             at / columns, at % columns, *bad));
}

}  // namespace gramtile
