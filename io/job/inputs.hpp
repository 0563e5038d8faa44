// What goes into a job: the network and the sets of images, opened and checked against one another.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/network/network.hpp"
#include "engine/network/program.hpp"
#include "io/data/dataset.hpp"
#include "io/files/input_files.hpp"
#include "io/job/job_request.hpp"

namespace gramtile {

struct InputOptions {
  std::uint64_t unpack_bytes = 0;  ///< as in DatasetOptions
  bool channels_last = false;
  /// Told what was left out of labels, and of images that look as if their channels came last.
  std::function<void(const std::string&)> notice = {};
};

struct InputSet {
  std::string name;
  std::string description;                ///< the source as the user wrote it
  std::unique_ptr<Dataset> data;          ///< of a file
  BlockSource* callers_images = nullptr;  ///< where there is no file
  std::vector<std::int64_t> callers_labels;

  BlockSource& images() const { return data != nullptr ? *data : *callers_images; }
  /// One per example, or none.
  const std::vector<std::int64_t>& labels() const;
  /// Memory that reading takes beside the pixels [bytes].
  std::size_t unpack_bytes() const { return data != nullptr ? data->unpack_bytes() : 0; }
};

struct Inputs {
  Network network;
  Program program;
  std::vector<InputSet> sets;    ///< those that were given, in the order asked for; never empty
  std::vector<InputFile> files;  ///< all that was opened for them

  /// Position of a set, or −1.
  Index find(std::string_view name) const;
};

/// Opens the sets and lowers the network for the images' shape. `network_name` heads the messages
/// about the network. Throws Error(kUsage) when no set is given or labels are without images,
/// NetworkError, and DataError when two sets have images of different shapes, besides what the
/// readers throw.
Inputs open_inputs(Network network, const std::string& network_name, std::span<const JobSet> sets,
                   const InputOptions& options);

}  // namespace gramtile
