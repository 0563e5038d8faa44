#include "io/hdf5/hdf5.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <limits>

#include "engine/core/errors.hpp"
#include "io/files/input_files.hpp"
#include "io/hdf5/attributes.hpp"
#include "io/hdf5/chunk_guard.hpp"
#include "io/hdf5/contents.hpp"
#include "io/hdf5/handle.hpp"
#include "io/hdf5/number_type.hpp"
#include "io/hdf5/probe.hpp"
#include "io/hdf5/storage.hpp"

namespace gramtile::hdf5 {
namespace {

constexpr std::size_t kMaxStringBytes = std::size_t{1} << 16;

[[noreturn]] void fail(const std::string& file, const std::string& name,
                       const std::string& problem) {
  const std::string cause = take_library_error();
  const std::string advice = version_advice(cause);
  throw DataError(
      name.empty() ? file : file + ":/" + name,
      cause.empty() ? problem : (advice.empty() ? problem : advice) + " (HDF5: " + cause + ")");
}

struct Descriptor {
  int number;
  ~Descriptor() { ::close(number); }
};

/// The library says "unable to open file" for everything. What the system refuses is told apart
/// from what is no HDF5 file; a named pipe must be refused, not waited for.
void check_can_be_opened(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) throw IoError(path, "open", errno);
  struct stat status {};
  const bool is_regular = ::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
  const Descriptor closes{descriptor};
  if (is_regular) return InputRecorder::note(descriptor, path);
  throw DataError(path, "expected a regular file, found a directory, pipe or device");
}

herr_t refuse_external_link(const char*, const char*, const char*, const char*, unsigned*, hid_t,
                            void* met_one) {
  *static_cast<bool*>(met_one) = true;
  return -1;
}

/// Access properties that do not follow links out of the file, but set `met_one`, which must live
/// as long. Dataset access contains link access.
Handle inside_this_file(bool& met_one) {
  Handle access(H5Pcreate(H5P_DATASET_ACCESS), H5Pclose);
  H5Pset_elink_cb(access.id(), refuse_external_link, &met_one);
  return access;
}

ElementType element_type_of(hid_t type) {
  const std::size_t size = H5Tget_size(type);
  switch (H5Tget_class(type)) {
    case H5T_INTEGER:
      if (!is_plain_number(type)) return {};
      return {ElementClass::kInteger, size, H5Tget_sign(type) != H5T_SGN_NONE};
    case H5T_FLOAT:
      if (!is_plain_number(type)) return {};
      return {ElementClass::kFloat, size, true};
    case H5T_STRING:
      return {ElementClass::kString, size, false};
    default:
      return {};
  }
}

}  // namespace

std::string ElementType::name() const {
  const std::string bits = std::to_string(8 * size_bytes);
  switch (kind) {
    case ElementClass::kInteger:
      return (is_signed ? "int" : "uint") + bits;
    case ElementClass::kFloat:
      return "float" + bits;
    case ElementClass::kString:
      return "string";
    case ElementClass::kOther:
      break;
  }
  return "other";
}

// --- File ---------------------------------------------------------------------------------------

struct File::Impl {
  std::string path;
  std::shared_ptr<Handle> file;
};

File::File(const std::string& path) : impl_(std::make_unique<Impl>()) {
  const auto lock = library_lock();
  check_can_be_opened(path);
  if (const std::string problem = probe(path); !problem.empty()) throw DataError(path, problem);
  Handle file = open_to_read(path.c_str());
  if (!file.valid()) fail(path, "", "is not an HDF5 file, or damaged");
  impl_->path = path;
  impl_->file = std::make_shared<Handle>(std::move(file));
}

File::~File() = default;
File::File(File&&) noexcept = default;
File& File::operator=(File&&) noexcept = default;

const std::string& File::path() const { return impl_->path; }

bool File::has_dataset(const std::string& name) const {
  const auto lock = library_lock();
  bool met_external_link = false;
  const Handle access = inside_this_file(met_external_link);
  const Handle dataset(H5Dopen2(impl_->file->id(), name.c_str(), access.id()), H5Dclose);
  H5Eclear2(H5E_DEFAULT);
  return dataset.valid();
}

std::vector<std::string> File::dataset_names() const {
  const auto lock = library_lock();
  std::vector<std::string> names;
  H5Literate(
      impl_->file->id(), H5_INDEX_NAME, H5_ITER_INC, nullptr,
      [](hid_t, const char* name, const H5L_info_t*, void* list) {
        static_cast<std::vector<std::string>*>(list)->emplace_back(name);
        return herr_t{0};
      },
      &names);
  std::erase_if(names, [&](const std::string& name) { return !has_dataset(name); });
  return names;
}

std::vector<std::string> File::dataset_paths(std::size_t max_count) const {
  const auto lock = library_lock();
  return hdf5::dataset_paths(impl_->file->id(), max_count);
}

std::optional<std::string> File::string_attribute(const std::string& name) const {
  const auto strings = strings_attribute(name);
  return strings && strings->size() == 1 ? std::optional(strings->front()) : std::nullopt;
}

std::optional<std::vector<std::string>> File::strings_attribute(const std::string& name) const {
  const auto lock = library_lock();
  return read_string_attribute(impl_->file->id(), name.c_str());
}

std::optional<std::vector<double>> File::number_attribute(const std::string& name) const {
  const auto lock = library_lock();
  return read_number_attribute(impl_->file->id(), name.c_str());
}

// --- Dataset ------------------------------------------------------------------------------------

struct Dataset::Impl {
  std::string path, name;
  std::shared_ptr<Handle> file;
  Handle dataset, space;
  std::vector<Index> shape;
  ElementType type;
  Index num_elements = 1;

  void read(std::span<const Range> ranges, hid_t memory_type, void* values,
            std::size_t num_values) const;
  void read_integers(std::span<const Range> ranges, hid_t memory_type, void* values,
                     std::size_t num_values) const;
};

Dataset File::dataset(const std::string& given_name) const {
  const auto lock = library_lock();
  const std::string& path = impl_->path;
  const std::string name = given_name.starts_with('/') ? given_name.substr(1) : given_name;
  auto impl = std::make_unique<Dataset::Impl>();
  bool met_external_link = false;
  const Handle access = inside_this_file(met_external_link);
  impl->dataset = Handle(H5Dopen2(impl_->file->id(), name.c_str(), access.id()), H5Dclose);
  if (met_external_link) {
    take_library_error();
    fail(path, name, "is a link into another file, which is refused");
  }
  if (!impl->dataset.valid()) fail(path, name, "there is no such dataset in this file");
  impl->path = path;
  impl->name = name;
  impl->file = impl_->file;
  const Handle creation(H5Dget_create_plist(impl->dataset.id()), H5Pclose);
  if (const std::string problem = stored_here_problem(creation.id()); !problem.empty())
    fail(path, name, problem);  // before its extents are asked for
  impl->space = Handle(H5Dget_space(impl->dataset.id()), H5Sclose);
  const int rank = H5Sget_simple_extent_ndims(impl->space.id());
  if (rank < 0 || H5Sget_simple_extent_type(impl->space.id()) == H5S_NULL)
    fail(path, name, "has no shape");
  std::vector<hsize_t> shape(static_cast<std::size_t>(rank));
  H5Sget_simple_extent_dims(impl->space.id(), shape.data(), nullptr);
  for (const hsize_t extent : shape) {
    constexpr auto kLimit = static_cast<hsize_t>(std::numeric_limits<Index>::max() / 16);
    if (extent != 0 && static_cast<hsize_t>(impl->num_elements) > kLimit / extent)
      fail(path, name, "is too large: the product of its extents overflows");
    impl->num_elements *= static_cast<Index>(extent);
    impl->shape.push_back(static_cast<Index>(extent));
  }
  const Handle type(H5Dget_type(impl->dataset.id()), H5Tclose);
  impl->type = element_type_of(type.id());
  const std::string problem = storage_problem(creation.id(), H5Tget_size(type.id()), shape.size());
  if (!problem.empty()) fail(path, name, problem);
  return Dataset(std::move(impl));
}

Dataset::Dataset(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Dataset::~Dataset() = default;
Dataset::Dataset(Dataset&&) noexcept = default;
Dataset& Dataset::operator=(Dataset&&) noexcept = default;

const std::string& Dataset::file() const { return impl_->path; }
const std::string& Dataset::name() const { return impl_->name; }
const std::vector<Index>& Dataset::shape() const { return impl_->shape; }
ElementType Dataset::type() const { return impl_->type; }
Index Dataset::num_elements() const { return impl_->num_elements; }

std::uint64_t Dataset::stored_bytes() const {
  const auto lock = library_lock();
  return H5Dget_storage_size(impl_->dataset.id());
}

std::optional<UnwrittenChunks> Dataset::unwritten(Range rows) const {
  const auto lock = library_lock();
  const auto count = count_chunks(impl_->dataset.id());
  if (!count || count->written >= count->declared) return std::nullopt;
  UnwrittenChunks found{
      .num_declared = count->declared, .num_written = count->written, .first = {}};
  constexpr hsize_t kMaxSearched = 8192;  // the search takes the square of it
  if (count->declared > kMaxSearched) return found;
  found.first = first_unwritten(impl_->dataset.id(), rows);
  return found.first ? std::optional(found) : std::nullopt;
}

std::size_t Dataset::unpack_bytes() const {
  const auto lock = library_lock();
  const Handle creation(H5Dget_create_plist(impl_->dataset.id()), H5Pclose);
  const int num_filters = H5Pget_nfilters(creation.id());
  if (H5Pget_layout(creation.id()) != H5D_CHUNKED || num_filters < 1) return 0;
  std::vector<hsize_t> chunk(impl_->shape.size());
  H5Pget_chunk(creation.id(), static_cast<int>(chunk.size()), chunk.data());
  std::size_t bytes = impl_->type.size_bytes;
  for (const hsize_t extent : chunk) bytes *= extent;  // at most 1 GiB, see storage.hpp
  return bytes * (static_cast<std::size_t>(num_filters) + 1);
}

void Dataset::Impl::read(std::span<const Range> ranges, hid_t memory_type, void* values,
                         std::size_t num_values) const {
  if (ranges.size() != shape.size())
    fail(path, name,
         "has " + std::to_string(shape.size()) + " axes; " + std::to_string(ranges.size()) +
             " expected");
  std::vector<hsize_t> start, count;
  std::size_t total = 1;
  for (std::size_t axis = 0; axis < ranges.size(); ++axis) {
    const Range range = ranges[axis];
    if (range.start < 0 || range.stop < range.start || range.stop > shape[axis])
      fail(path, name,
           "axis " + std::to_string(axis) + " has " + std::to_string(shape[axis]) +
               " entries; asked for " + std::to_string(range.start) + ":" +
               std::to_string(range.stop));
    start.push_back(static_cast<hsize_t>(range.start));
    count.push_back(static_cast<hsize_t>(range.size()));
    total *= static_cast<std::size_t>(range.size());
  }
  if (total != num_values) fail(path, name, "internal: buffer and ranges differ in size");
  if (total == 0) return;
  const hsize_t memory_size = total;
  const Handle memory(H5Screate_simple(1, &memory_size, nullptr), H5Sclose);
  if (!shape.empty() && H5Sselect_hyperslab(space.id(), H5S_SELECT_SET, start.data(), nullptr,
                                            count.data(), nullptr) < 0)
    fail(path, name, "cannot select the range");
  const std::string problem = chunk_problem(dataset.id(), type.size_bytes, ranges);
  if (!problem.empty()) fail(path, name, problem);
  if (H5Dread(dataset.id(), memory_type, memory.id(), space.id(), H5P_DEFAULT, values) < 0)
    fail(path, name, "cannot be read");
}

void Dataset::read(std::span<const Range> ranges, std::span<double> values) const {
  const auto lock = library_lock();
  if (impl_->type.kind != ElementClass::kInteger && impl_->type.kind != ElementClass::kFloat)
    fail(impl_->path, impl_->name, "holds " + impl_->type.name() + " values; numbers expected");
  impl_->read(ranges, H5T_NATIVE_DOUBLE, values.data(), values.size());
}

void Dataset::Impl::read_integers(std::span<const Range> ranges, hid_t memory_type, void* values,
                                  std::size_t num_values) const {
  const auto lock = library_lock();
  if (type.kind != ElementClass::kInteger)
    fail(path, name, "holds " + type.name() + " values; integers expected");
  read(ranges, memory_type, values, num_values);
}

void Dataset::read(std::span<const Range> ranges, std::span<std::int64_t> values) const {
  impl_->read_integers(ranges, H5T_NATIVE_INT64, values.data(), values.size());
}

void Dataset::read(std::span<const Range> ranges, std::span<std::uint64_t> values) const {
  impl_->read_integers(ranges, H5T_NATIVE_UINT64, values.data(), values.size());
}

std::vector<std::string> Dataset::read_strings(Index max_count) const {
  const auto lock = library_lock();
  const Impl& d = *impl_;
  if (d.type.kind != ElementClass::kString || d.type.size_bytes > kMaxStringBytes)
    fail(d.path, d.name, "holds " + d.type.name() + " values; short strings expected");
  if (d.num_elements > max_count)
    fail(d.path, d.name, "holds more than " + std::to_string(max_count) + " strings");
  constexpr std::size_t kMaxBytes = std::size_t{64} << 20;
  if (static_cast<std::size_t>(d.num_elements) >
      kMaxBytes / std::max<std::size_t>(1, d.type.size_bytes))
    fail(d.path, d.name, "holds more than 64 MiB of strings");
  const Handle type(H5Dget_type(d.dataset.id()), H5Tclose);
  auto strings = hdf5::read_strings(
      type.id(), d.space.id(), static_cast<std::size_t>(d.num_elements),
      [&](hid_t memory, void* values) {
        return H5Dread(d.dataset.id(), memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
      });
  if (!strings) fail(d.path, d.name, "cannot be read");
  return *std::move(strings);
}

std::optional<std::string> Dataset::string_attribute(const std::string& name) const {
  const auto lock = library_lock();
  const auto strings = read_string_attribute(impl_->dataset.id(), name.c_str());
  return strings && strings->size() == 1 ? std::optional(strings->front()) : std::nullopt;
}

std::optional<std::vector<double>> Dataset::number_attribute(const std::string& name) const {
  const auto lock = library_lock();
  return read_number_attribute(impl_->dataset.id(), name.c_str());
}

bool looks_like_hdf5(const std::string& path) {
  constexpr std::string_view kSignature("\x89HDF\r\n\x1a\n", 8);
  std::ifstream file(path, std::ios::binary);
  char bytes[8] = {};
  file.read(bytes, sizeof bytes);
  return file.gcount() == 8 && std::string_view(bytes, 8) == kSignature;
}

}  // namespace gramtile::hdf5
