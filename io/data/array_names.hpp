// Which array of a file with several (.npz, HDF5) holds the images, and which their labels.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "io/data/dataset.hpp"

namespace gramtile {

/// "images", "X" or "x"; then "x_train" or "X_train", "x_test" or "X_test" by role: the first of
/// these that is among `names`; otherwise the only one of `names` that is no label array; otherwise
/// nothing.
std::optional<std::string> choose_images(std::span<const std::string> names, DatasetRole role);

/// What the labels beside array `images` may be called, in the order to try: "labels", "y", with
/// the same ending ("x_train": "labels_train", "y_train").
std::vector<std::string> label_names(const std::string& images);

/// "X, Z, labels", shortened when there are many.
std::string list_names(std::span<const std::string> names);

}  // namespace gramtile
