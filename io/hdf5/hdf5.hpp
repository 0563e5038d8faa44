// Reading HDF5, strictly: rank, type and size are known before a byte is read; external links,
// external raw data, virtual datasets and filter plugins are refused; the library's error stack
// becomes one DataError with file and dataset. The only way in which this project reads HDF5.
//
// Thread-safety: calls are serialised inside (not every build of the library is safe), so different
// objects may be used from different threads. One object belongs to one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/core/index.hpp"

namespace gramtile::hdf5 {

/// What a dataset's elements are, as far as this project cares.
enum class ElementClass {
  kInteger,  ///< 1, 2, 4 or 8 bytes, signed or not
  kFloat,    ///< 2, 4 or 8 bytes
  kString,
  kOther,  ///< compound, enum, reference, …: cannot be read here
};

struct ElementType {
  ElementClass kind = ElementClass::kOther;
  std::size_t size_bytes = 0;
  bool is_signed = true;

  /// "float32", "uint8", "string", "other": for messages.
  std::string name() const;
};

/// A chunked dataset of which some chunks are not in the file.
struct UnwrittenChunks {
  std::uint64_t num_declared = 0, num_written = 0;
  std::optional<Range> first;  ///< rows of the first that is missing, where it was looked for
};

/// An open dataset. Keeps its file open.
class Dataset {
 public:
  ~Dataset();
  Dataset(Dataset&&) noexcept;
  Dataset& operator=(Dataset&&) noexcept;

  const std::string& file() const;
  const std::string& name() const;          ///< as it was asked for
  const std::vector<Index>& shape() const;  ///< empty for a scalar
  ElementType type() const;
  Index num_elements() const;  ///< product of the shape; checked not to overflow
  /// Bytes of the file that hold the elements: less than their size when compressed or when parts
  /// were never written.
  std::uint64_t stored_bytes() const;
  /// What the library holds to read one element: a compressed chunk, packed and unpacked (once more
  /// for every other filter). 0 for other layouts.
  std::size_t unpack_bytes() const;

  /// Chunks that were never written, when there are some among those of `rows` of the first axis.
  /// Of a dataset with more than 8192 chunks, all are meant.
  std::optional<UnwrittenChunks> unwritten(Range rows) const;

  /// The hyperslab `ranges` (one per axis), row-major, converted to double. Requires a numeric type
  /// and ranges within the shape (DataError otherwise); values.size() = product of the sizes.
  void read(std::span<const Range> ranges, std::span<double> values) const;
  /// The same as integers. Floating-point datasets are refused.
  void read(std::span<const Range> ranges, std::span<std::int64_t> values) const;
  void read(std::span<const Range> ranges, std::span<std::uint64_t> values) const;
  /// A one-dimensional dataset of strings, fixed or variable length. At most `max_count` of them.
  std::vector<std::string> read_strings(Index max_count = 1 << 20) const;

  std::optional<std::string> string_attribute(const std::string& name) const;
  /// Numbers of any type; a scalar is one number. Empty when the attribute does not exist.
  std::optional<std::vector<double>> number_attribute(const std::string& name) const;

 private:
  friend class File;
  struct Impl;
  explicit Dataset(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// A file opened for reading. Never takes a lock that would disturb a writer.
class File {
 public:
  /// Throws IoError when the file cannot be opened, DataError when it is not HDF5.
  explicit File(const std::string& path);
  ~File();
  File(File&&) noexcept;
  File& operator=(File&&) noexcept;

  const std::string& path() const;
  /// True when `name` ("/group/dataset", the leading slash is optional) is a dataset here.
  bool has_dataset(const std::string& name) const;
  /// Throws DataError when there is none, or when it is of a kind that is refused (see above).
  Dataset dataset(const std::string& name) const;
  /// Names of the datasets in the root group, sorted.
  std::vector<std::string> dataset_names() const;
  /// Paths of the datasets in all groups ("train/data"), the root's first, at most `max_count`.
  /// Those that cannot be opened are among them.
  std::vector<std::string> dataset_paths(std::size_t max_count = 200) const;

  /// Attributes of the root group, as for Dataset.
  std::optional<std::string> string_attribute(const std::string& name) const;
  std::optional<std::vector<double>> number_attribute(const std::string& name) const;
  /// A one-dimensional attribute of strings.
  std::optional<std::vector<std::string>> strings_attribute(const std::string& name) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// True when the file begins (at byte 0) with HDF5's signature. False for a file that cannot be
/// read.
bool looks_like_hdf5(const std::string& path);

}  // namespace gramtile::hdf5
