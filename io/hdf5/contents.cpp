#include "io/hdf5/contents.hpp"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "io/hdf5/handle.hpp"

namespace gramtile::hdf5 {
namespace {

constexpr int kMaxDepth = 8;
constexpr std::size_t kMaxLinks = 10'000;  // looked at in one file

struct Walk {
  std::vector<std::string> datasets;
  std::set<haddr_t> groups;  // that were entered
  std::size_t max_count = 0, num_links = 0;
};

void enter(hid_t file, const std::string& path, int depth, Walk& walk);

std::vector<std::string> hard_links(hid_t file, const std::string& path, Walk& walk) {
  struct Names {
    std::vector<std::string> names;
    Walk* walk;
  } found{{}, &walk};
  H5Literate_by_name(
      file, path.c_str(), H5_INDEX_NAME, H5_ITER_INC, nullptr,
      [](hid_t, const char* name, const H5L_info_t* info, void* data) {
        auto& names = *static_cast<Names*>(data);
        if (++names.walk->num_links > kMaxLinks) return herr_t{1};
        if (info->type == H5L_TYPE_HARD) names.names.emplace_back(name);
        return herr_t{0};
      },
      &found, H5P_DEFAULT);
  return std::move(found.names);
}

void enter(hid_t file, const std::string& path, int depth, Walk& walk) {
  std::vector<std::string> groups;
  for (const std::string& name : hard_links(file, path, walk)) {
    if (walk.datasets.size() >= walk.max_count) return;
    const std::string full = path == "/" ? name : path + "/" + name;
    H5O_info_t info{};
    const bool known =
        H5Oget_info_by_name2(file, full.c_str(), &info, H5O_INFO_BASIC, H5P_DEFAULT) >= 0;
    if (known && info.type == H5O_TYPE_GROUP) {
      if (depth < kMaxDepth && walk.groups.insert(info.addr).second) groups.push_back(full);
    } else if (!known || info.type == H5O_TYPE_DATASET) {
      walk.datasets.push_back(full);
    }
  }
  for (const std::string& group : groups) enter(file, group, depth + 1, walk);
}

struct ChunkGrid {
  std::vector<hsize_t> shape, chunk;

  hsize_t chunks_along(std::size_t axis) const {
    return shape[axis] / chunk[axis] + (shape[axis] % chunk[axis] == 0 ? 0 : 1);
  }
};

std::optional<ChunkGrid> chunk_grid(hid_t dataset) {
  const Handle creation(H5Dget_create_plist(dataset), H5Pclose);
  if (H5Pget_layout(creation.id()) != H5D_CHUNKED) return std::nullopt;
  const Handle space(H5Dget_space(dataset), H5Sclose);
  const int rank = H5Sget_simple_extent_ndims(space.id());
  if (rank < 1) return std::nullopt;
  ChunkGrid grid{std::vector<hsize_t>(static_cast<std::size_t>(rank)),
                 std::vector<hsize_t>(static_cast<std::size_t>(rank))};
  H5Sget_simple_extent_dims(space.id(), grid.shape.data(), nullptr);
  H5Pget_chunk(creation.id(), rank, grid.chunk.data());
  if (std::find(grid.chunk.begin(), grid.chunk.end(), 0) != grid.chunk.end()) return std::nullopt;
  return grid;
}

bool is_written(hid_t dataset, const std::vector<hsize_t>& offset) {
  unsigned filters = 0;
  haddr_t address = HADDR_UNDEF;
  hsize_t size = 0;
  return H5Dget_chunk_info_by_coord(dataset, offset.data(), &filters, &address, &size) >= 0 &&
         address != HADDR_UNDEF;
}

// Moves to the next chunk of the same rows; false behind the last.
bool next_beside(const ChunkGrid& grid, std::vector<hsize_t>& offset) {
  for (std::size_t axis = offset.size(); axis-- > 1;) {
    offset[axis] += grid.chunk[axis];
    if (offset[axis] < grid.shape[axis]) return true;
    offset[axis] = 0;
  }
  return false;
}

}  // namespace

std::vector<std::string> dataset_paths(hid_t file, std::size_t max_count) {
  Walk walk;
  walk.max_count = max_count;
  enter(file, "/", 0, walk);
  H5Eclear2(H5E_DEFAULT);
  return std::move(walk.datasets);
}

std::string version_advice(const std::string& cause) {
  if (cause.find("version number") == std::string::npos) return "";
  // Which part of the format is newer than this library, and the library that brought it.
  constexpr std::array<std::pair<std::string_view, std::string_view>, 3> kBrought{
      {{"layout", "2.0"}, {"datatype", "1.12"}, {"attribute", "1.14"}}};
  std::string needed = "a newer one";
  for (const auto& [part, version] : kBrought) {
    if (cause.find(part) != std::string::npos) needed = "version " + std::string(version);
  }
  unsigned major = 0, minor = 0, release = 0;
  H5get_libversion(&major, &minor, &release);
  return "is written in a newer format than HDF5 " + std::to_string(major) + "." +
         std::to_string(minor) + "." + std::to_string(release) +
         ", which this program was built with, can read (it needs " + needed +
         "); write it with libver='earliest' (h5py's default)";
}

std::optional<ChunkCount> count_chunks(hid_t dataset) {
  const auto grid = chunk_grid(dataset);
  if (!grid) return std::nullopt;
  ChunkCount count{.declared = 1, .written = 0};
  for (std::size_t axis = 0; axis < grid->shape.size(); ++axis) {
    if (__builtin_mul_overflow(count.declared, grid->chunks_along(axis), &count.declared)) {
      return std::nullopt;
    }
  }
  const Handle space(H5Dget_space(dataset), H5Sclose);
  if (H5Dget_num_chunks(dataset, space.id(), &count.written) < 0) return std::nullopt;
  return count;
}

std::optional<Range> first_unwritten(hid_t dataset, Range rows) {
  const auto grid = chunk_grid(dataset);
  if (!grid || rows.size() <= 0) return std::nullopt;
  std::vector<hsize_t> offset(grid->shape.size());
  const auto start = static_cast<hsize_t>(rows.start);
  for (offset[0] = start - start % grid->chunk[0]; offset[0] < static_cast<hsize_t>(rows.stop);
       offset[0] += grid->chunk[0]) {
    do {
      if (is_written(dataset, offset)) continue;
      H5Eclear2(H5E_DEFAULT);
      return Range{static_cast<Index>(offset[0]),
                   static_cast<Index>(std::min(offset[0] + grid->chunk[0], grid->shape[0]))};
    } while (next_beside(*grid, offset));
  }
  return std::nullopt;
}

}  // namespace gramtile::hdf5
