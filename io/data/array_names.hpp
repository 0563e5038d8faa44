// Which array of a file with several (.npz, HDF5) holds the images, and which their labels.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "io/data/dataset.hpp"

namespace gramtile {

/// "images", "X" or "x"; then by role "x_train", "X_train", "train_images", "images_train" (test:
/// "test"; validation: "val", "valid", "validation", then "train"): the first of these that is
/// among `names`; otherwise the only one of `names` that is no label array; otherwise nothing.
std::optional<std::string> choose_images(std::span<const std::string> names, DatasetRole role);

/// The same for a file of labels: "labels", "y", "Y", "label", "target", "targets", "classes", then
/// with the half before or behind; then the only name of labels; then the only name.
std::optional<std::string> choose_labels(std::span<const std::string> names, DatasetRole role);

/// What the labels beside array `images` may be called, in the order to try: a word for labels with
/// the same ending ("x_train": "labels_train", "y_train") or beginning ("train_images":
/// "train_labels").
std::vector<std::string> label_names(const std::string& images);

/// "X, Z, labels", shortened when there are many.
std::string list_names(std::span<const std::string> names);

}  // namespace gramtile
