// Which format a data file has: by its first bytes, and by its name where a format has none.
#pragma once

#include <string>

#include "io/data/byte_source.hpp"

namespace gramtile {

enum class FileFormat {
  kIdx,  ///< gzip or not
  kNpy,
  kNpz,
  kMat5,
  kHdf5,  ///< with a user block or without; MATLAB 7.3
  kCifar10,
  kCifar100,
  kStl10Images,
  kStl10Labels,
};

/// Throws DataError when the file is none of these.
FileFormat format_of(const std::string& path, const SharedBytes& bytes);

/// True for files that hold several arrays, of which one can be named.
bool holds_datasets(FileFormat format);

}  // namespace gramtile
