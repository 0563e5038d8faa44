// Images in an HDF5 dataset, with labels from a dataset beside it.
#pragma once

#include <memory>
#include <string>

#include "io/data/dataset.hpp"
#include "io/data/image_reader.hpp"

namespace gramtile {

/// Images of `dataset` ("/group/X"), or, when it is empty, of the one that choose_images() finds
/// among the root group's datasets of rank 3 or 4, or of the only such one in all groups; labels by
/// label_names() in the same group. Those that MATLAB wrote (attribute MATLAB_class) are [N, C, W,
/// H]. Throws DataError: besides what hdf5::File refuses, a wrong rank, extent or type, and a
/// dataset that declares more than its stored bytes can hold.
std::unique_ptr<ImageReader> open_hdf5_images(const std::string& path, const std::string& dataset,
                                              DatasetRole role);

/// Labels in `dataset`, or in the one that choose_labels() finds in the root group.
std::unique_ptr<LabelArray> open_hdf5_labels(const std::string& path, const std::string& dataset,
                                             DatasetRole role);

}  // namespace gramtile
