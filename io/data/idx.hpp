// IDX, the format of MNIST: two zero bytes, a type code, the rank, one big-endian uint32 per
// extent, then the elements. Layout: http://yann.lecun.com/exdb/mnist/
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "io/data/byte_source.hpp"
#include "io/data/inflate.hpp"
#include "io/data/raw_array.hpp"

namespace gramtile {

/// Type codes 08 uint8, 09 int8, 0B int16, 0C int32, 0D float32, 0E float64; rank 1 to 4. The file
/// has to end with the last element. Throws DataError.
RawArray parse_idx(SharedBytes bytes);

/// The same from a gzip file. Contents of more than `in_memory_bytes` go to a temporary file.
RawArray parse_idx_gzip(const SharedBytes& bytes,
                        std::uint64_t in_memory_bytes = kUnpackInMemoryBytes);

/// True when the bytes begin like a gzip file.
bool is_gzip(std::span<const std::byte> head);

}  // namespace gramtile
