#include "io/hdf5/storage.hpp"

#include <vector>

#include "io/hdf5/chunk_guard.hpp"

namespace gramtile::hdf5 {
namespace {

constexpr std::size_t kMaxChunkBytes = std::size_t{1} << 30;  // of a filtered chunk, decompressed

}  // namespace

std::string stored_here_problem(hid_t creation) {
  if (creation < 0) return "cannot read how it is stored";
  if (H5Pget_layout(creation) == H5D_VIRTUAL)
    return "is a virtual dataset, which is refused; copy its values into a dataset";
  if (H5Pget_external_count(creation) > 0) return "keeps its data in another file; refused";
  return "";
}

std::string storage_problem(hid_t creation, std::size_t element_bytes, std::size_t rank) {
  if (std::string problem = stored_here_problem(creation); !problem.empty()) return problem;
  if (std::string problem = filter_problem(creation); !problem.empty()) return problem;
  if (H5Pget_nfilters(creation) > 0 && H5Pget_layout(creation) == H5D_CHUNKED) {
    std::vector<hsize_t> chunk(rank);
    H5Pget_chunk(creation, static_cast<int>(rank), chunk.data());
    std::size_t bytes = element_bytes;
    for (const hsize_t extent : chunk) {
      if (extent != 0 && bytes > kMaxChunkBytes / extent)
        return "has compressed chunks of more than 1 GiB, which are refused";
      bytes *= extent;
    }
  }
  return "";
}

}  // namespace gramtile::hdf5
