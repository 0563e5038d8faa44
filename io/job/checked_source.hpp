// Images that are read again and again, for hours, from a file that somebody may write into: what
// is read a second time has to be what was read the first time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/core/ports.hpp"

namespace gramtile {

class CheckedSource final : public BlockSource {
 public:
  /// `data` must live as long. 8 bytes an image.
  CheckedSource(BlockSource& data, std::string description);

  ImageShape shape() const override { return data_.shape(); }
  Index num_examples() const override { return data_.num_examples(); }
  /// Throws DataError naming the image, besides what `data` throws.
  void read(Range examples, std::span<double> pixels) override;

 private:
  BlockSource& data_;
  const std::string description_;      ///< heads the message
  std::vector<std::uint64_t> hashes_;  ///< [num_examples]; 0: not read yet
};

}  // namespace gramtile
