// Bits and finiteness on random nested networks.
#include <doctest/doctest.h>

#include <cmath>

#include "engine/backend/lanes/lanes_backend.hpp"
#include "engine/backend/lanes/prepared_block.hpp"
#include "engine/core/array_source.hpp"
#include "tests/support/hand_lanes.hpp"
#include "tests/support/lane_runs.hpp"

namespace gramtile::test::lanes_random_test {
namespace {

std::vector<double> constant_image(ImageShape shape, double value) {
  return std::vector<double>(static_cast<std::size_t>(shape.num_values()), value);
}

TEST_CASE("random networks have the same bits for every tile size, thread count and order") {
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    CAPTURE(seed);
    const RandomCase random = random_case(seed);
    const Program program = random.program();
    const Images images = random_images(seed + 500, random.shape, 19);
    const std::vector<Index> order = shuffled(seed, images.size());
    for (const DataType type : kDataTypes) {
      CAPTURE(name_of(type));
      const auto kernel = lane_kernel(program, images, {type, 1, 19});
      CHECK(lane_kernel(program, images, {type, 3, 1}) == kernel);
      CHECK(lane_kernel(program, images, {type, 2, 8}) == kernel);
      CHECK(lane_kernel(program, images.reordered(order), {type, 1, 10}) ==
            reordered(kernel, images.size(), order, order));
    }
  }
}

TEST_CASE("the off-diagonal entries of one data set given twice have the bits of the symmetric K") {
  for (std::uint64_t seed = 40; seed < 50; ++seed) {
    CAPTURE(seed);
    const RandomCase random = random_case(seed);
    const Program program = random.program();
    const Images images = random_images(seed, random.shape, 17);
    for (const DataType type : kDataTypes) {
      const auto symmetric = lane_kernel(program, images, {type, 1, 8});
      const auto cross = lane_kernel(program, images, images, {type, 1, 17});
      for (std::size_t i = 0; i < 17; ++i) {
        for (std::size_t j = 0; j < 17; ++j) {
          if (i != j) REQUIRE(cross[i * 17 + j] == symmetric[i * 17 + j]);
        }
      }
    }
  }
}

TEST_CASE("no finite image makes an entry that is not finite, on any random network") {
  for (std::uint64_t seed = 600; seed < 640; ++seed) {
    CAPTURE(seed);
    const RandomCase random = random_case(seed);
    const Program program = random.program();
    Images images = random_images(seed, random.shape, 3);
    for (const double value : {0.0, 1.0, -1.0, 1e10, -1e10, 1e-10, 1e-19, 1e-22, 1e-45, 1e-160}) {
      images.append(constant_image(random.shape, value));
      Random pixels(seed);
      std::vector<double> image = random_image(pixels, random.shape);
      for (double& pixel : image) pixel *= value;
      images.append(image);
    }
    for (const DataType type : kDataTypes) {
      const Images held = representable(program, images, type);
      CHECK(held.size() >= 8);
      for (const double entry : lane_kernel(program, held, held, {type})) {
        REQUIRE(std::isfinite(entry));
      }
    }
  }
}

TEST_CASE_TEMPLATE("no step reads what no step has written", T, float, double) {
  // Slots start out as NaN here, as zeros in the engine.
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    CAPTURE(seed);
    const RandomCase random = random_case(seed);
    const Program program = random.program();
    const Images images =
        random_images(seed, random.shape, static_cast<Index>(HandLanes<T>::lanes()));
    const DataType type = sizeof(T) == 4 ? DataType::kFloat32 : DataType::kFloat64;
    const auto kernel = lane_kernel(program, images, images, {type});
    const LaneProgram lanes = compile_lanes(program, false);
    const auto executor = make_executor(1);
    const auto backend = lanes_backend().make(
        {.program = &program, .data_type = type, .tile_size = images.size()}, *executor);
    std::unique_ptr<BackendBlock> prepared;
    backend->prepare({0, images.size()}, images.pixels, prepared);
    const auto* block = static_cast<const PreparedBlock<T>*>(prepared.get());
    HandLanes<T> run(lanes);
    std::copy_n(block->view.rows, run.row().size(), run.row().begin());
    std::copy_n(block->view.packs, run.pack().size(), run.pack().begin());
    run.run();
    for (std::size_t l = 0; l < HandLanes<T>::lanes(); ++l) {
      REQUIRE(static_cast<double>(run.output()[l]) == kernel[l]);
    }
  }
}

}  // namespace
}  // namespace gramtile::test::lanes_random_test
