#include "io/data/array_names.hpp"

#include <algorithm>

#include "io/data/bad_data.hpp"

namespace gramtile {
namespace {

bool contains(std::span<const std::string> names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool names_labels(const std::string& name) {
  const std::string stem = name.substr(0, name.find('_'));
  return stem == "labels" || stem == "y" || stem == "Y";
}

}  // namespace

std::optional<std::string> choose_images(std::span<const std::string> names, DatasetRole role) {
  const std::string half = role == DatasetRole::kTrain ? "train" : "test";
  for (const std::string& name :
       {std::string("images"), std::string("X"), std::string("x"), "x_" + half, "X_" + half}) {
    if (contains(names, name)) return name;
  }
  std::optional<std::string> only;
  for (const std::string& name : names) {
    if (names_labels(name)) continue;
    if (only) return std::nullopt;
    only = name;
  }
  return only;
}

std::vector<std::string> label_names(const std::string& images) {
  const auto underscore = images.find('_');
  const std::string ending = underscore == std::string::npos ? "" : images.substr(underscore);
  return {"labels" + ending, "y" + ending};
}

std::string list_names(std::span<const std::string> names) {
  std::string list;
  for (const std::string& name : names) {
    if (!list.empty()) list += ", ";
    if (list.size() > 200) return list + "…";
    list += printable(name, 60);
  }
  return list.empty() ? "none" : list;
}

}  // namespace gramtile
