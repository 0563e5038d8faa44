#include "io/hdf5/file_builder.hpp"

#include <hdf5_hl.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "engine/core/errors.hpp"
#include "io/hdf5/handle.hpp"
#include "io/hdf5/memory_driver.hpp"

namespace gramtile::hdf5 {
namespace {

constexpr const char* kImageName = "HDF5 image in memory";
constexpr hsize_t kAlignedFrom = 64 << 10;  // datasets of this size begin at a page [bytes]
constexpr hsize_t kAlignment = 4096;

[[noreturn]] void fail(const std::string& object, const std::string& problem) {
  throw Error(ErrorKind::kOther,
              "HDF5: " + object + ": " + problem + " (" + take_library_error() + ")");
}

void check(herr_t status, const std::string& object, const char* problem) {
  if (status < 0) fail(object, problem);
}

Handle checked(hid_t id, Handle::Close close, const std::string& object, const char* problem) {
  if (id < 0) fail(object, problem);
  return {id, close};
}

std::vector<hsize_t> extents(const std::vector<Index>& shape) {
  return {shape.begin(), shape.end()};
}

Handle simple_space(const std::vector<Index>& shape, const std::string& name) {
  if (shape.empty()) return checked(H5Screate(H5S_SCALAR), H5Sclose, name, "no dataspace");
  const auto dims = extents(shape);
  return checked(H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr), H5Sclose,
                 name, "no dataspace");
}

hid_t file_type(DataType type) {
  return type == DataType::kFloat32 ? H5T_IEEE_F32LE : H5T_IEEE_F64LE;
}

Handle string_type(std::size_t size) {
  Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
  H5Tset_size(type.id(), size);
  H5Tset_cset(type.id(), H5T_CSET_UTF8);
  H5Tset_strpad(type.id(), size == H5T_VARIABLE ? H5T_STR_NULLTERM : H5T_STR_NULLPAD);
  return type;
}

/// Space at creation, nothing written, no recorded times.
Handle frozen_creation() {
  Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  H5Pset_alloc_time(creation.id(), H5D_ALLOC_TIME_EARLY);
  H5Pset_fill_time(creation.id(), H5D_FILL_TIME_NEVER);
  H5Pset_obj_track_times(creation.id(), false);
  H5Pset_attr_phase_change(creation.id(), 64, 0);
  return creation;
}

void fill_with_nan(hid_t creation) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  H5Pset_fill_value(creation, H5T_NATIVE_DOUBLE, &nan);
}

}  // namespace

std::uint64_t library_version() {
  const auto lock = library_lock();
  unsigned major = 0, minor = 0, release = 0;
  H5get_libversion(&major, &minor, &release);
  return (std::uint64_t{major} << 32) + (std::uint64_t{minor} << 16) + release;
}

// --- FileImage ----------------------------------------------------------------------------------

FileImage::FileImage(std::unique_ptr<SparseBytes> bytes, std::vector<RawData> reserved,
                     std::vector<GeneratedData> generated)
    : bytes_(std::move(bytes)), reserved_(std::move(reserved)), generated_(std::move(generated)) {
  std::ranges::sort(reserved_, {}, &RawData::offset);
}

FileImage::~FileImage() = default;
FileImage::FileImage(FileImage&&) noexcept = default;
FileImage& FileImage::operator=(FileImage&&) noexcept = default;

std::uint64_t FileImage::size_bytes() const { return bytes_->size_bytes; }

void FileImage::read(std::uint64_t offset, std::span<std::byte> bytes) const {
  bytes_->read(offset, bytes);
  const std::uint64_t end = offset + bytes.size();
  for (const GeneratedData& data : generated_) {
    const std::uint64_t first = std::max(offset, data.offset);
    const std::uint64_t last = std::min(end, data.offset + data.num_bytes);
    for (std::uint64_t at = first; at < last;) {
      const std::uint64_t begin = (at - data.offset) % 8;  // of the value's bytes
      const auto n = static_cast<std::size_t>(std::min(8 - begin, last - at));
      const Index value = data.value_of(static_cast<Index>((at - data.offset) / 8));
      std::memcpy(&bytes[at - offset], reinterpret_cast<const char*>(&value) + begin, n);
      at += n;
    }
  }
}

// --- FileBuilder --------------------------------------------------------------------------------

struct FileBuilder::Impl {
  std::unique_ptr<SparseBytes> bytes = std::make_unique<SparseBytes>();
  Handle file;
  std::vector<RawData> reserved;
  std::vector<GeneratedData> generated;

  Impl();
  ~Impl();
  Impl(const Impl&) = delete;

  Handle open(const std::string& dataset) const;
  Handle create(const std::string& name, hid_t type, const std::vector<Index>& shape,
                hid_t creation) const;
  void reserve(const std::string& name, hid_t type, std::optional<DataType> nan_type,
               const std::vector<Index>& shape, hid_t creation);
  void add(const std::string& name, hid_t type, hid_t memory, const std::vector<Index>& shape,
           const void* values) const;
  void set(const std::string& dataset, const std::string& name, hid_t type, hid_t memory,
           const std::vector<Index>& shape, const void* values) const;
};

FileBuilder::Impl::Impl() {
  const Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  H5Pset_libver_bounds(access.id(), H5F_LIBVER_V110, H5F_LIBVER_V110);
  H5Pset_fclose_degree(access.id(), H5F_CLOSE_STRONG);
  H5Pset_alignment(access.id(), kAlignedFrom, kAlignment);
  use_memory(access.id(), *bytes);
  const Handle creation(H5Pcreate(H5P_FILE_CREATE), H5Pclose);
  H5Pset_obj_track_times(creation.id(), false);
  H5Pset_attr_phase_change(creation.id(), 64, 0);
  file = checked(H5Fcreate(kImageName, H5F_ACC_TRUNC, creation.id(), access.id()), H5Fclose,
                 kImageName, "cannot be created");
}

FileBuilder::Impl::~Impl() {
  const auto lock = library_lock();
  file = Handle();
}

Handle FileBuilder::Impl::open(const std::string& dataset) const {
  const std::string path = "/" + dataset;
  return checked(H5Oopen(file.id(), path.c_str(), H5P_DEFAULT), H5Oclose, path, "does not exist");
}

Handle FileBuilder::Impl::create(const std::string& name, hid_t type,
                                 const std::vector<Index>& shape, hid_t creation) const {
  const Handle space = simple_space(shape, name);
  return checked(
      H5Dcreate2(file.id(), name.c_str(), type, space.id(), H5P_DEFAULT, creation, H5P_DEFAULT),
      H5Dclose, name, "cannot be created");
}

void FileBuilder::Impl::reserve(const std::string& name, hid_t type,
                                std::optional<DataType> nan_type, const std::vector<Index>& shape,
                                hid_t creation) {
  const Handle dataset = create(name, type, shape, creation);
  RawData raw{.dataset = name, .nan_type = nan_type, .grid = std::vector<Index>(shape.size(), 1)};
  raw.offset = H5Dget_offset(dataset.id());
  raw.chunk_bytes = raw.num_bytes = H5Dget_storage_size(dataset.id());
  if (raw.offset == HADDR_UNDEF || raw.num_bytes == 0) fail(name, "was not allocated");
  reserved.push_back(std::move(raw));
}

void FileBuilder::Impl::add(const std::string& name, hid_t type, hid_t memory,
                            const std::vector<Index>& shape, const void* values) const {
  const Handle creation = frozen_creation();
  const Handle dataset = create(name, type, shape, creation.id());
  check(H5Dwrite(dataset.id(), memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, values), name,
        "cannot be written");
}

void FileBuilder::Impl::set(const std::string& dataset, const std::string& name, hid_t type,
                            hid_t memory, const std::vector<Index>& shape,
                            const void* values) const {
  const auto lock = library_lock();
  const Handle object = open(dataset);
  const std::string label = dataset + "@" + name;
  const Handle space = simple_space(shape, label);
  if (H5Aexists(object.id(), name.c_str()) > 0)
    check(H5Adelete(object.id(), name.c_str()), label, "cannot be replaced");
  const Handle attribute =
      checked(H5Acreate2(object.id(), name.c_str(), type, space.id(), H5P_DEFAULT, H5P_DEFAULT),
              H5Aclose, label, "cannot be created");
  check(H5Awrite(attribute.id(), memory, values), label, "cannot be written");
}

FileBuilder::FileBuilder() {
  const auto lock = library_lock();
  impl_ = std::make_unique<Impl>();
}
FileBuilder::~FileBuilder() = default;
FileBuilder::FileBuilder(FileBuilder&&) noexcept = default;

namespace {

std::uint64_t chunk_offset(hid_t dataset, const std::vector<hsize_t>& coordinate,
                           const std::string& name) {
  unsigned mask = 0;
  haddr_t address = HADDR_UNDEF;
  hsize_t size = 0;
  check(H5Dget_chunk_info_by_coord(dataset, coordinate.data(), &mask, &address, &size), name,
        "no chunk address");
  if (address == HADDR_UNDEF) fail(name, "a chunk was not allocated");
  return address;
}

/// Element coordinate of chunk `k`.
std::vector<hsize_t> chunk_origin(Index k, const std::vector<Index>& grid,
                                  const std::vector<Index>& chunk) {
  std::vector<hsize_t> origin(grid.size());
  for (std::size_t axis = grid.size(); axis-- > 0; k /= grid[axis])
    origin[axis] = static_cast<hsize_t>(k % grid[axis] * chunk[axis]);
  return origin;
}

/// The calls are linear in time, so the first, the last and a few chunks between stand for all.
void check_even_spacing(hid_t dataset, const RawData& raw, const std::vector<Index>& chunk) {
  const auto num_chunks = static_cast<Index>(raw.num_bytes / raw.chunk_bytes);
  for (Index i = 0; i <= 6; ++i) {
    const Index k = (num_chunks - 1) * i / 6;
    const std::uint64_t expected = raw.offset + static_cast<std::uint64_t>(k) * raw.chunk_bytes;
    if (chunk_offset(dataset, chunk_origin(k, raw.grid, chunk), raw.dataset) != expected)
      fail(raw.dataset,
           "this version of the library does not place chunks one after another, as writing past "
           "it needs");
  }
}

}  // namespace

void FileBuilder::reserve_chunked(const std::string& name, DataType type,
                                  const std::vector<Index>& shape,
                                  const std::vector<Index>& chunk) {
  const auto lock = library_lock();
  const Handle creation = frozen_creation();
  const auto dims = extents(chunk);
  H5Pset_chunk(creation.id(), static_cast<int>(dims.size()), dims.data());
  fill_with_nan(creation.id());
  RawData raw{.dataset = name, .nan_type = type, .grid = {}};
  raw.chunk_bytes = raw.num_bytes = size_in_bytes(type);
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    raw.grid.push_back((shape[axis] + chunk[axis] - 1) / chunk[axis]);
    raw.chunk_bytes *= static_cast<std::uint64_t>(chunk[axis]);
    raw.num_bytes *= static_cast<std::uint64_t>(chunk[axis] * raw.grid.back());
  }
  {
    const Handle dataset = impl_->create(name, file_type(type), shape, creation.id());
    raw.offset = chunk_offset(dataset.id(), std::vector<hsize_t>(shape.size(), 0), name);
    check_even_spacing(dataset.id(), raw, chunk);
  }
  set_attribute(name, "offset", static_cast<std::int64_t>(raw.offset));
  set_attribute(name, "chunk_shape", std::vector<std::int64_t>(chunk.begin(), chunk.end()));
  impl_->reserved.push_back(std::move(raw));
}

void FileBuilder::reserve_contiguous(const std::string& name, DataType type,
                                     const std::vector<Index>& shape) {
  const auto lock = library_lock();
  const Handle creation = frozen_creation();
  fill_with_nan(creation.id());
  impl_->reserve(name, file_type(type), type, shape, creation.id());
  set_attribute(name, "offset", static_cast<std::int64_t>(impl_->reserved.back().offset));
}

void FileBuilder::reserve_uint64(const std::string& name, const std::vector<Index>& shape) {
  const auto lock = library_lock();
  const Handle creation = frozen_creation();
  impl_->reserve(name, H5T_STD_U64LE, std::nullopt, shape, creation.id());
}

void FileBuilder::add_int64(const std::string& name, const std::vector<Index>& shape,
                            std::span<const std::int64_t> values) {
  const auto lock = library_lock();
  impl_->add(name, H5T_STD_I64LE, H5T_NATIVE_INT64, shape, values.data());
}

void FileBuilder::generate_int64(const std::string& name, const std::vector<Index>& shape,
                                 std::function<Index(Index)> value_of) {
  const auto lock = library_lock();
  const Handle creation = frozen_creation();
  const Handle dataset = impl_->create(name, H5T_STD_I64LE, shape, creation.id());
  GeneratedData data{.value_of = std::move(value_of)};
  data.offset = H5Dget_offset(dataset.id());
  data.num_bytes = H5Dget_storage_size(dataset.id());
  if (data.offset == HADDR_UNDEF || data.num_bytes == 0) fail(name, "was not allocated");
  impl_->generated.push_back(std::move(data));
}

void FileBuilder::add_float64(const std::string& name, const std::vector<Index>& shape,
                              std::span<const double> values) {
  const auto lock = library_lock();
  impl_->add(name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, shape, values.data());
}

void FileBuilder::add_strings(const std::string& name, const std::vector<std::string>& values) {
  const auto lock = library_lock();
  std::size_t width = 1;
  for (const std::string& value : values) width = std::max(width, value.size());
  std::string bytes;
  for (const std::string& value : values) bytes += value + std::string(width - value.size(), '\0');
  const Handle type = string_type(width);
  impl_->add(name, type.id(), type.id(), {static_cast<Index>(values.size())}, bytes.data());
}

void FileBuilder::make_scale(const std::string& name) {
  const auto lock = library_lock();
  const Handle dataset = impl_->open(name);
  check(H5DSset_scale(dataset.id(), name.c_str()), name, "cannot become a dimension scale");
}

void FileBuilder::name_axes(const std::string& dataset, const std::vector<std::string>& scales) {
  const auto lock = library_lock();
  const Handle object = impl_->open(dataset);
  for (std::size_t axis = 0; axis < scales.size(); ++axis) {
    const Handle scale = impl_->open(scales[axis]);
    check(H5DSattach_scale(object.id(), scale.id(), static_cast<unsigned>(axis)), dataset,
          "cannot name an axis");
  }
}

void FileBuilder::set_attribute(const std::string& dataset, const std::string& name,
                                const std::string& value) {
  const auto lock = library_lock();
  const Handle type = string_type(H5T_VARIABLE);
  const char* pointer = value.c_str();
  impl_->set(dataset, name, type.id(), type.id(), {}, &pointer);
}

void FileBuilder::set_attribute(const std::string& dataset, const std::string& name,
                                std::int64_t value) {
  impl_->set(dataset, name, H5T_STD_I64LE, H5T_NATIVE_INT64, {}, &value);
}

void FileBuilder::set_attribute(const std::string& dataset, const std::string& name, double value) {
  impl_->set(dataset, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, {}, &value);
}

void FileBuilder::set_attribute(const std::string& dataset, const std::string& name,
                                const std::vector<std::string>& values) {
  const auto lock = library_lock();
  const Handle type = string_type(H5T_VARIABLE);
  std::vector<const char*> pointers;
  for (const std::string& value : values) pointers.push_back(value.c_str());
  impl_->set(dataset, name, type.id(), type.id(), {static_cast<Index>(values.size())},
             pointers.data());
}

void FileBuilder::set_attribute(const std::string& dataset, const std::string& name,
                                const std::vector<double>& values) {
  impl_->set(dataset, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, {static_cast<Index>(values.size())},
             values.data());
}

void FileBuilder::set_attribute(const std::string& dataset, const std::string& name,
                                const std::vector<std::int64_t>& values) {
  impl_->set(dataset, name, H5T_STD_I64LE, H5T_NATIVE_INT64, {static_cast<Index>(values.size())},
             values.data());
}

FileImage FileBuilder::finish() {
  const auto lock = library_lock();
  if (H5Fflush(impl_->file.id(), H5F_SCOPE_GLOBAL) < 0) fail(kImageName, "cannot be written");
  impl_->file = Handle();
  return {std::move(impl_->bytes), std::move(impl_->reserved), std::move(impl_->generated)};
}

}  // namespace gramtile::hdf5
