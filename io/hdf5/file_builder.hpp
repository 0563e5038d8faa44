// Makes the HDF5 files of a run: everything but the numbers that are computed. The library writes
// into memory only (sparse pages, so a 15 GB matrix costs kilobytes); what it wrote is then
// copied to disk by io/run through the project's own file calls. So the library never meets a full
// disk (where 1.10 reports success and crashes at exit), and tests can fail every call of the way.
//
// Files are in the v110 format, without recorded times, with fixed extents, no filters and early
// allocation: HDF5 places the chunks of a dataset one after another, row-major. The same calls give
// the same bytes.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/core/index.hpp"

namespace gramtile::hdf5 {

class SparseBytes;

/// Of the HDF5 library: major · 2³² + minor · 2¹⁶ + release.
std::uint64_t library_version();

/// Where a dataset's raw data lies in the file.
struct RawData {
  std::string dataset;
  /// What fills it before anything is computed: NaN of this type, or zeros (for uint64).
  std::optional<DataType> nan_type;
  std::vector<Index> grid;   ///< chunks per axis
  std::uint64_t offset = 0;  ///< of the first chunk [bytes]
  std::uint64_t chunk_bytes =
      0;                        ///< chunk k (row-major in the grid) is at offset + k · chunk_bytes
  std::uint64_t num_bytes = 0;  ///< all chunks
};

/// int64 values that are a formula of their position, and where they lie in the file.
struct GeneratedData {
  std::uint64_t offset = 0, num_bytes = 0;
  std::function<Index(Index)> value_of;
};

/// A finished file in memory. The raw data of reserved datasets is a hole, to be filled by the
/// owner.
class FileImage {
 public:
  FileImage(std::unique_ptr<SparseBytes> bytes, std::vector<RawData> reserved,
            std::vector<GeneratedData> generated);
  ~FileImage();
  FileImage(FileImage&&) noexcept;
  FileImage& operator=(FileImage&&) noexcept;

  std::uint64_t size_bytes() const;
  /// Reserved datasets by ascending offset; their regions do not overlap.
  const std::vector<RawData>& reserved() const { return reserved_; }
  /// Copies bytes [offset, offset + bytes.size()); zero where nothing was written.
  void read(std::uint64_t offset, std::span<std::byte> bytes) const;

 private:
  std::unique_ptr<SparseBytes> bytes_;
  std::vector<RawData> reserved_;
  std::vector<GeneratedData> generated_;
};

/// Builds one file. Throws Error(kOther) when the library refuses, naming the object.
class FileBuilder {
 public:
  FileBuilder();
  ~FileBuilder();
  FileBuilder(FileBuilder&&) noexcept;

  /// A dataset of computed numbers, fill value NaN, in chunks of `chunk`; gets the attributes
  /// `offset` [bytes] and `chunk_shape`, from which np.memmap can be made (docs/file_format.md).
  void reserve_chunked(const std::string& name, DataType type, const std::vector<Index>& shape,
                       const std::vector<Index>& chunk);
  /// The same, contiguous: one chunk.
  void reserve_contiguous(const std::string& name, DataType type, const std::vector<Index>& shape);
  /// A contiguous dataset of unsigned 64-bit integers, to be written later; zero until then.
  void reserve_uint64(const std::string& name, const std::vector<Index>& shape);

  void add_int64(const std::string& name, const std::vector<Index>& shape,
                 std::span<const std::int64_t> values);
  /// The same, of values that are a formula: value_of(i) of element i, row-major. Nothing of them
  /// is kept.
  void generate_int64(const std::string& name, const std::vector<Index>& shape,
                      std::function<Index(Index)> value_of);
  void add_float64(const std::string& name, const std::vector<Index>& shape,
                   std::span<const double> values);
  /// One axis of strings of equal length, zero-padded UTF-8: what every reader understands.
  void add_strings(const std::string& name, const std::vector<std::string>& values);

  /// Declares the one-dimensional dataset `name` a dimension scale.
  void make_scale(const std::string& name);
  /// Names the axes of `dataset`, one scale per axis. No scale may occur twice in one dataset.
  void name_axes(const std::string& dataset, const std::vector<std::string>& scales);

  /// Attributes of `dataset`, or of the root group when it is empty; one that is there already is
  /// replaced. Strings are of variable length
  /// (UTF-8): h5py gives `str`, and the 64 KiB limit of attributes does not apply.
  void set_attribute(const std::string& dataset, const std::string& name, const std::string& value);
  void set_attribute(const std::string& dataset, const std::string& name, std::int64_t value);
  void set_attribute(const std::string& dataset, const std::string& name, double value);
  void set_attribute(const std::string& dataset, const std::string& name,
                     const std::vector<std::string>& values);
  void set_attribute(const std::string& dataset, const std::string& name,
                     const std::vector<double>& values);
  void set_attribute(const std::string& dataset, const std::string& name,
                     const std::vector<std::int64_t>& values);

  /// Closes the file. The builder is empty afterwards.
  FileImage finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gramtile::hdf5
