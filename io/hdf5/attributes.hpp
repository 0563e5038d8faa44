// Inside of the HDF5 seam: attributes of any object, read into plain values.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "io/hdf5/handle.hpp"

namespace gramtile::hdf5 {

/// Strings of an attribute or dataset whose type is `type`: fixed or variable length, padding
/// removed. `read` fills a buffer of the given memory type. Empty optional when the read fails.
template <typename Read>
std::optional<std::vector<std::string>> read_strings(hid_t type, hid_t space, std::size_t count,
                                                     const Read& read);

/// Empty when there is no such attribute, when it is of another kind, or larger than 16 Mi
/// elements.
std::optional<std::vector<std::string>> read_string_attribute(hid_t object, const char* name);
std::optional<std::vector<double>> read_number_attribute(hid_t object, const char* name);

// ---

template <typename Read>
std::optional<std::vector<std::string>> read_strings(hid_t type, hid_t space, std::size_t count,
                                                     const Read& read) {
  std::vector<std::string> strings(count);
  if (H5Tis_variable_str(type) > 0) {
    const Handle memory(H5Tcopy(H5T_C_S1), H5Tclose);
    H5Tset_size(memory.id(), H5T_VARIABLE);
    H5Tset_cset(memory.id(), H5Tget_cset(type));
    std::vector<char*> pointers(count, nullptr);
    if (read(memory.id(), static_cast<void*>(pointers.data())) < 0) return std::nullopt;
    for (std::size_t i = 0; i < count; ++i) strings[i] = pointers[i] == nullptr ? "" : pointers[i];
    H5Dvlen_reclaim(memory.id(), space, H5P_DEFAULT, pointers.data());
    return strings;
  }
  const std::size_t size = H5Tget_size(type);
  std::string bytes(size * count, '\0');
  if (read(type, static_cast<void*>(bytes.data())) < 0) return std::nullopt;
  for (std::size_t i = 0; i < count; ++i) {
    std::string text = bytes.substr(i * size, size);
    if (H5Tget_strpad(type) == H5T_STR_SPACEPAD) {
      text.erase(text.find_last_not_of(' ') + 1);
    } else {
      text.resize(text.find('\0') == std::string::npos ? size : text.find('\0'));
    }
    strings[i] = text;
  }
  return strings;
}

}  // namespace gramtile::hdf5
