// Inside of the HDF5 seam: a virtual file driver whose file is a sparse array of pages in memory.
// The library's own "core" driver is dense: it would hold a 15 GB matrix that is only reserved.
#pragma once

#include <hdf5.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>

namespace gramtile::hdf5 {

/// Bytes that were never written read as zero.
class SparseBytes {
 public:
  void write(std::uint64_t offset, std::span<const std::byte> bytes);
  void read(std::uint64_t offset, std::span<std::byte> bytes) const;

  std::uint64_t size_bytes = 0;

 private:
  static constexpr std::uint64_t kPage = 4096;
  std::map<std::uint64_t, std::array<std::byte, kPage>> pages_;  // by page number
};

/// Makes `access` (file access properties) open `bytes` instead of a file. `bytes` must outlive it.
void use_memory(hid_t access, SparseBytes& bytes);

}  // namespace gramtile::hdf5
