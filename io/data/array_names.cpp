#include "io/data/array_names.hpp"

#include <algorithm>
#include <array>

#include "io/data/bad_data.hpp"

namespace gramtile {
namespace {

constexpr std::array<std::string_view, 8> kImageWords{"images", "image", "imgs", "pixels",
                                                      "data",   "X",     "x",    "inputs"};
constexpr std::array<std::string_view, 7> kLabelWords{"labels", "y",       "Y",      "label",
                                                      "target", "targets", "classes"};

template <typename List>
bool contains(const List& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// "x_train", "train_images": what stands before the first '_' and behind the last.
std::pair<std::string_view, std::string_view> ends_of(std::string_view name) {
  const auto last = name.rfind('_');
  return {name.substr(0, name.find('_')),
          last == std::string_view::npos ? name : name.substr(last + 1)};
}

bool names_labels(std::string_view name) {
  const auto [first, last] = ends_of(name);
  return contains(kLabelWords, first) || contains(kLabelWords, last);
}

std::vector<std::string> halves(DatasetRole role) {
  if (role == DatasetRole::kTest) return {"test"};
  if (role == DatasetRole::kTrain) return {"train"};
  return {"val", "valid", "validation", "train"};
}

std::optional<std::string> only_one(std::span<const std::string> names, bool labels) {
  std::optional<std::string> only;
  for (const std::string& name : names) {
    if (names_labels(name) != labels) continue;
    if (only) return std::nullopt;
    only = name;
  }
  return only;
}

}  // namespace

std::optional<std::string> choose_images(std::span<const std::string> names, DatasetRole role) {
  for (const char* const name : {"images", "X", "x"}) {
    if (contains(names, name)) return name;
  }
  for (const std::string& half : halves(role)) {
    for (const std::string& name :
         {"x_" + half, "X_" + half, half + "_images", "images_" + half, half + "_x", half + "_X"}) {
      if (contains(names, name)) return name;
    }
  }
  return only_one(names, false);
}

std::optional<std::string> choose_labels(std::span<const std::string> names, DatasetRole role) {
  for (const std::string_view word : kLabelWords) {
    if (contains(names, word)) return std::string(word);
  }
  for (const std::string& half : halves(role)) {
    for (const std::string_view word : kLabelWords) {
      for (const std::string& name :
           {std::string(word) + "_" + half, half + "_" + std::string(word)}) {
        if (contains(names, name)) return name;
      }
    }
  }
  if (auto only = only_one(names, true)) return only;
  return names.size() == 1 ? std::optional(names.front()) : std::nullopt;
}

std::vector<std::string> label_names(const std::string& images) {
  std::string before, behind;
  const auto [first, last] = ends_of(images);
  if (contains(kImageWords, last) && last.size() < images.size()) {
    before = images.substr(0, images.size() - last.size());
  } else if (const auto underscore = images.find('_'); underscore != std::string::npos) {
    behind = images.substr(underscore);
  }
  std::vector<std::string> names;
  for (const std::string_view word : kLabelWords) {
    names.push_back(before + std::string(word) + behind);
  }
  return names;
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
