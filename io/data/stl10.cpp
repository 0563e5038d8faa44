#include "io/data/stl10.hpp"

#include <fmt/format.h>

#include <utility>

#include "io/data/axis_order.hpp"
#include "io/data/bad_data.hpp"

namespace gramtile {
namespace {

constexpr std::uint64_t kChannels = 3, kEdge = 96;
constexpr std::uint64_t kImageBytes = kChannels * kEdge * kEdge;

}  // namespace

std::unique_ptr<ImageReader> open_stl10(SharedBytes images, std::optional<RawArray> labels) {
  const std::uint64_t count = images->size() / kImageBytes;
  if (count == 0 || images->size() % kImageBytes != 0) {
    refuse_data(images->name(), count * kImageBytes, fmt::format("images of {} bytes", kImageBytes),
                fmt::format("{} bytes: the file is truncated, or something follows",
                            images->size() - count * kImageBytes));
  }
  RawArray array{.bytes = std::move(images),
                 .offset = 0,
                 .type = {.kind = 'u', .size = 1},
                 .shape = {count, kChannels, kEdge, kEdge},
                 .shape_offset = 0};
  return reorder_axes(open_raw_images(std::move(array), std::move(labels)), AxisOrder::kTransposed);
}

RawArray stl10_labels(SharedBytes bytes) {
  const std::uint64_t count = bytes->size();
  return {.bytes = std::move(bytes),
          .offset = 0,
          .type = {.kind = 'u', .size = 1},
          .shape = {count},
          .shape_offset = 0};
}

}  // namespace gramtile
