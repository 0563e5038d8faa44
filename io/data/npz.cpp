#include "io/data/npz.hpp"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "engine/core/errors.hpp"
#include "io/data/array_names.hpp"
#include "io/data/bad_data.hpp"
#include "io/data/npy.hpp"
#include "io/data/raw_array.hpp"
#include "io/data/zip.hpp"

namespace gramtile {
namespace {

constexpr std::string_view kEnding = ".npy";

// Member "X.npy" is the array "X".
std::vector<std::string> array_names(const std::vector<ZipMember>& members) {
  std::vector<std::string> names;
  for (const ZipMember& member : members) {
    if (!member.name.ends_with(kEnding)) continue;
    names.push_back(member.name.substr(0, member.name.size() - kEnding.size()));
  }
  return names;
}

RawArray open_array(const SharedBytes& bytes, const std::vector<ZipMember>& members,
                    const std::string& key, std::uint64_t in_memory_bytes) {
  const auto member = std::find_if(members.begin(), members.end(), [&](const ZipMember& m) {
    return m.name == key + std::string(kEnding);
  });
  return parse_npy(
      open_zip_member(bytes, *member, bytes->name() + ":/" + printable(key), in_memory_bytes));
}

std::optional<RawArray> find_labels(const SharedBytes& bytes, const std::vector<ZipMember>& members,
                                    const std::string& images, std::uint64_t in_memory_bytes) {
  const std::vector<std::string> present = array_names(members);
  for (const std::string& name : label_names(images)) {
    if (name == images || std::find(present.begin(), present.end(), name) == present.end())
      continue;
    return open_array(bytes, members, name, in_memory_bytes);
  }
  return std::nullopt;
}

// The array `key`, or when that is empty the one that was chosen.
RawArray open_chosen(const SharedBytes& bytes, const std::vector<ZipMember>& members,
                     const std::string& what, const std::optional<std::string>& chosen,
                     std::uint64_t in_memory_bytes) {
  const std::vector<std::string> names = array_names(members);
  if (!chosen) {
    throw DataError(bytes->name(), "which array holds the " + what +
                                       "? Name one behind ':/' (found: " + list_names(names) + ")");
  }
  if (std::find(names.begin(), names.end(), *chosen) == names.end()) {
    throw DataError(bytes->name(),
                    "expected an array '" + printable(*chosen) + "', found: " + list_names(names));
  }
  return open_array(bytes, members, *chosen, in_memory_bytes);
}

}  // namespace

std::unique_ptr<ImageReader> open_npz(const SharedBytes& bytes, const std::string& key,
                                      DatasetRole role, std::uint64_t in_memory_bytes) {
  const std::vector<ZipMember> members = read_zip_directory(bytes);
  const auto images = key.empty() ? choose_images(array_names(members), role) : std::optional(key);
  RawArray pixels = open_chosen(bytes, members, "images", images, in_memory_bytes);
  return open_raw_images(std::move(pixels), find_labels(bytes, members, *images, in_memory_bytes));
}

RawArray open_npz_array(const SharedBytes& bytes, const std::string& key, DatasetRole role,
                        std::uint64_t in_memory_bytes) {
  const std::vector<ZipMember> members = read_zip_directory(bytes);
  const auto chosen = key.empty() ? choose_labels(array_names(members), role) : std::optional(key);
  return open_chosen(bytes, members, "labels", chosen, in_memory_bytes);
}

}  // namespace gramtile
