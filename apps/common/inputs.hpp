// What goes into a run: the network and the data sets, opened and checked against one another.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "apps/common/options.hpp"
#include "engine/network/network.hpp"
#include "engine/network/program.hpp"
#include "io/data/dataset.hpp"
#include "io/files/input_files.hpp"

namespace gramtile::apps {

/// One data source of the command line. Sources that were not given have an empty text.
struct SourceArgument {
  std::string name;  ///< "train", "validation", "test"
  std::string text;
  DatasetRole role = DatasetRole::kTrain;
  std::string labels = {};  ///< PATH[:/DATASET], or empty: those beside the images
};

struct InputOptions {
  std::uint64_t unpack_bytes = 0;  ///< as in DatasetOptions
  bool channels_last = false;
  bool quiet = false;  ///< no warnings
};

struct InputSet {
  std::string name;
  std::unique_ptr<Dataset> data;
};

struct Inputs {
  Network network;
  Program program;
  std::vector<InputSet> sets;    ///< those that were given, in the order asked for; never empty
  std::vector<InputFile> files;  ///< all that was opened for them

  /// Position of a set, or −1.
  Index find(std::string_view name) const;
};

InputOptions input_options(const ComputeArguments& arguments);

/// Opens the sources and lowers the network for the images' shape; at least one source is given.
/// `network_name` heads the messages about the network. Warns on stderr of what was left out of the
/// labels, and of images that look as if their channels came last. Throws NetworkError, and
/// DataError when two sets have images of different shapes, besides what the readers throw.
Inputs open_inputs(Network network, const std::string& network_name,
                   std::span<const SourceArgument> sources, const InputOptions& options);

/// "50,000 images of 3 × 32 × 32", "with labels 0 to 9" and where the labels lack.
std::string describe_set(const InputSet& set);

/// One line per set on stdout: "train: 50,000 images of 3 × 32 × 32, labels 0 to 9".
void print_sets(const Inputs& inputs);

}  // namespace gramtile::apps
