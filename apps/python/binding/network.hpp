// A network, as Python holds it: the tree, and its programs for the image shapes that it has met.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "engine/network/network.hpp"
#include "engine/network/program.hpp"

namespace gramtile::python {

/// Does not change once made; may be used from several threads.
class SharedNetwork {
 public:
  /// `origin` (a file) heads messages about the network.
  SharedNetwork(Network network, std::string origin)
      : network_(std::move(network)), origin_(std::move(origin)) {}

  const Network& network() const { return network_; }
  const std::string& origin() const { return origin_; }

  /// Lowered for images of `shape`, once. Throws NetworkError.
  std::shared_ptr<const Program> program(ImageShape shape) const;

 private:
  Network network_;
  std::string origin_;
  mutable std::mutex mutex_;
  mutable std::vector<std::shared_ptr<const Program>> programs_;  ///< the latest few
};

}  // namespace gramtile::python
