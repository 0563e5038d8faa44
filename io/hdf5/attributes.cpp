#include "io/hdf5/attributes.hpp"

#include "io/hdf5/number_type.hpp"

namespace gramtile::hdf5 {
namespace {

constexpr hssize_t kMaxElements = hssize_t{1} << 24;

struct OpenAttribute {
  Handle attribute, type, space;
  std::size_t count = 0;
};

std::optional<OpenAttribute> open_attribute(hid_t object, const char* name) {
  if (H5Aexists(object, name) <= 0) return std::nullopt;
  OpenAttribute open;
  open.attribute = Handle(H5Aopen(object, name, H5P_DEFAULT), H5Aclose);
  if (!open.attribute.valid()) return std::nullopt;
  open.type = Handle(H5Aget_type(open.attribute.id()), H5Tclose);
  open.space = Handle(H5Aget_space(open.attribute.id()), H5Sclose);
  const hssize_t count = H5Sget_simple_extent_npoints(open.space.id());
  if (count < 0 || count > kMaxElements) return std::nullopt;
  // A count from a file sizes nothing that the file could not hold.
  const Handle file(H5Iget_file_id(object), H5Fclose);
  hsize_t file_bytes = 0;
  if (H5Fget_filesize(file.id(), &file_bytes) < 0 ||
      H5Aget_storage_size(open.attribute.id()) > file_bytes)
    return std::nullopt;
  open.count = static_cast<std::size_t>(count);
  return open;
}

}  // namespace

std::optional<std::vector<std::string>> read_string_attribute(hid_t object, const char* name) {
  const auto open = open_attribute(object, name);
  if (!open || H5Tget_class(open->type.id()) != H5T_STRING) return std::nullopt;
  return read_strings(
      open->type.id(), open->space.id(), open->count,
      [&](hid_t memory, void* values) { return H5Aread(open->attribute.id(), memory, values); });
}

std::optional<std::vector<double>> read_number_attribute(hid_t object, const char* name) {
  const auto open = open_attribute(object, name);
  if (!open) return std::nullopt;
  if (!is_plain_number(open->type.id())) return std::nullopt;
  std::vector<double> values(open->count);
  if (H5Aread(open->attribute.id(), H5T_NATIVE_DOUBLE, values.data()) < 0) return std::nullopt;
  return values;
}

}  // namespace gramtile::hdf5
