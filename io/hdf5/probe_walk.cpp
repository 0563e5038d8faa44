#include "io/hdf5/probe_walk.hpp"

#include <algorithm>
#include <cstddef>
#include <new>
#include <set>
#include <string>
#include <vector>

#include "io/hdf5/attributes.hpp"
#include "io/hdf5/chunk_guard.hpp"
#include "io/hdf5/handle.hpp"
#include "io/hdf5/storage.hpp"

namespace gramtile::hdf5 {
namespace {

constexpr hssize_t kReadWhole = 1 << 17;  // elements
constexpr hsize_t kUnpackedBytes = hsize_t{16} << 20;

bool ran_out_of_memory = false;

herr_t look_for_hunger(unsigned, const H5E_error2_t* error, void*) {
  if (error->maj_num == H5E_RESOURCE || error->min_num == H5E_NOSPACE ||
      error->min_num == H5E_CANTALLOC)
    ran_out_of_memory = true;
  return 0;
}

herr_t on_library_error(hid_t stack, void*) {
  return H5Ewalk2(stack, H5E_WALK_UPWARD, look_for_hunger, nullptr);
}

herr_t visit_attribute(hid_t object, const char* name, const H5A_info_t*, void*) {
  read_string_attribute(object, name);
  read_number_attribute(object, name);
  return 0;
}

/// Reads `count` elements from `start` on along every axis, as far as the guards let it.
void read_box(hid_t dataset, hid_t space, std::size_t element_bytes,
              const std::vector<Range>& ranges) {
  std::vector<hsize_t> start, count;
  hsize_t total = 1;
  for (const Range range : ranges) {
    start.push_back(static_cast<hsize_t>(range.start));
    count.push_back(static_cast<hsize_t>(range.size()));
    total *= count.back();
  }
  if (!chunk_problem(dataset, element_bytes, ranges).empty()) return;
  const Handle memory(H5Screate_simple(1, &total, nullptr), H5Sclose);
  if (H5Sselect_hyperslab(space, H5S_SELECT_SET, start.data(), nullptr, count.data(), nullptr) < 0)
    return;
  std::vector<double> values(total);
  H5Dread(dataset, H5T_NATIVE_DOUBLE, memory.id(), space, H5P_DEFAULT, values.data());
}

/// Chunks that are charged to --memory before they are read (apps/common/job.cpp) are not read
/// here.
bool unpacks_to_much(hid_t dataset, std::size_t element_bytes, std::size_t rank) {
  const Handle creation(H5Dget_create_plist(dataset), H5Pclose);
  if (H5Pget_layout(creation.id()) != H5D_CHUNKED || H5Pget_nfilters(creation.id()) == 0)
    return false;
  std::vector<hsize_t> chunk(rank);
  H5Pget_chunk(creation.id(), static_cast<int>(rank), chunk.data());
  hsize_t bytes = element_bytes;  // at most 1 GiB, see storage.hpp
  for (const hsize_t extent : chunk) bytes *= extent;
  return bytes > kUnpackedBytes;
}

void read_ends(hid_t dataset, hid_t type, hid_t space) {
  const int rank = H5Sget_simple_extent_ndims(space);
  const hssize_t count = H5Sget_simple_extent_npoints(space);
  if (rank < 1 || count <= 0) return;
  std::vector<hsize_t> extents(static_cast<std::size_t>(rank));
  H5Sget_simple_extent_dims(space, extents.data(), nullptr);
  std::vector<Range> whole, first, last;
  for (const hsize_t extent : extents) {
    const auto n = static_cast<Index>(extent);
    if (n < 1) return;
    whole.push_back({0, n});
    first.push_back({0, 1});
    last.push_back({n - 1, n});
  }
  const std::size_t element_bytes = H5Tget_size(type);
  if (unpacks_to_much(dataset, element_bytes, extents.size())) return;
  if (count <= kReadWhole) {
    read_box(dataset, space, element_bytes, whole);
  } else {
    read_box(dataset, space, element_bytes, first);
    read_box(dataset, space, element_bytes, last);
  }
}

void visit_dataset(hid_t dataset) {
  // Before anything asks for the extents: for those of a virtual dataset the library opens the
  // files that it names, whatever they are.
  const Handle creation(H5Dget_create_plist(dataset), H5Pclose);
  if (!stored_here_problem(creation.id()).empty()) return;
  const Handle type(H5Dget_type(dataset), H5Tclose);
  const Handle space(H5Dget_space(dataset), H5Sclose);
  const int rank = H5Sget_simple_extent_ndims(space.id());
  if (rank < 0) return;
  H5Dget_storage_size(dataset);  // walks the index of chunks
  const H5T_class_t kind = H5Tget_class(type.id());
  const bool is_number = kind == H5T_INTEGER || kind == H5T_FLOAT;
  const std::string problem =
      storage_problem(creation.id(), H5Tget_size(type.id()), static_cast<std::size_t>(rank));
  if (is_number && problem.empty()) read_ends(dataset, type.id(), space.id());
}

/// Goes on where an object cannot be opened, as whoever asks for another one does: H5Ovisit() would
/// end there, and what it has not come to would be opened unseen.
class ProbingWalk {
 public:
  void visit(hid_t object) {
    H5O_info_t info;
    if (H5Oget_info2(object, &info, H5O_INFO_BASIC) < 0) return;
    if (!seen_.insert(info.addr).second) return;
    H5Aiterate2(object, H5_INDEX_NAME, H5_ITER_INC, nullptr, visit_attribute, nullptr);
    if (info.type == H5O_TYPE_DATASET) visit_dataset(object);
    if (info.type != H5O_TYPE_GROUP) return;
    std::vector<std::string> names;
    H5Literate(object, H5_INDEX_NAME, H5_ITER_INC, nullptr, add_name, &names);
    for (const std::string& name : names) {
      const Handle child(H5Oopen(object, name.c_str(), H5P_DEFAULT), H5Oclose);
      if (child.valid()) visit(child.id());
    }
  }

 private:
  /// Of hard links: others may lead to files that nobody has allowed to be opened.
  static herr_t add_name(hid_t, const char* name, const H5L_info_t* link, void* names) {
    if (link->type == H5L_TYPE_HARD)
      static_cast<std::vector<std::string>*>(names)->emplace_back(name);
    return 0;
  }

  std::set<haddr_t> seen_;
};

}  // namespace

Verdict walk(const char* path) {
  try {
    H5Eset_auto2(H5E_DEFAULT, on_library_error, nullptr);
    const Handle file = open_to_read(path);
    const Handle root(file.valid() ? H5Gopen2(file.id(), "/", H5P_DEFAULT) : -1, H5Gclose);
    if (root.valid()) ProbingWalk().visit(root.id());
    if (ran_out_of_memory) return Verdict::kHungry;
    return file.valid() ? Verdict::kFine : Verdict::kRefused;
  } catch (const std::bad_alloc&) {
    return Verdict::kHungry;
  }
}

}  // namespace gramtile::hdf5
