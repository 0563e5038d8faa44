// MNIST and CIFAR-10 folders, labels beside IDX files, and CIFAR-10's records.
#include <doctest/doctest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "engine/core/errors.hpp"
#include "io/data/cifar.hpp"
#include "io/data/dataset.hpp"
#include "io/data/image_reader.hpp"
#include "tests/support/data_files.hpp"

namespace gramtile::data_folders_test {
namespace {

using namespace test;

const Bytes kTwoImages = make_idx(8, {2, 2, 3}, ramp(12));
const Bytes kOneImage = make_idx(8, {1, 2, 3}, ramp(6));
const Bytes kTwoLabels = make_idx(8, {2}, bytes_of({4, 9}));

std::unique_ptr<Dataset> open(const std::string& source, DatasetRole role = DatasetRole::kTrain) {
  return open_dataset(parse_source_spec(source), role);
}

std::string refused(const std::string& source, DatasetRole role = DatasetRole::kTrain) {
  const std::string message = refusal([&] { open(source, role); });
  CHECK(message.find("expected ") != std::string::npos);
  return message;
}

TEST_CASE("an MNIST folder gives the half of the role, with labels") {
  const DataFolder folder;
  folder.write("train-images-idx3-ubyte.gz", gzipped(kTwoImages));
  folder.write("train-labels-idx1-ubyte.gz", gzipped(kTwoLabels));
  folder.write("t10k-images-idx3-ubyte", kOneImage);
  const auto train = open(folder.path());
  CHECK(train->num_examples() == 2);
  CHECK(train->labels() == std::vector<std::int64_t>{4, 9});
  const auto test = open(folder.path(), DatasetRole::kTest);
  CHECK(test->num_examples() == 1);
  CHECK(!test->labels());
}

TEST_CASE("MNIST is found where PyTorch's loader puts it") {
  const DataFolder folder;
  folder.write("MNIST/raw/train-images-idx3-ubyte", kTwoImages);
  CHECK(open(folder.path())->num_examples() == 2);
}

TEST_CASE("labels of a range are those of its images") {
  const DataFolder folder;
  const std::string images = folder.write("my-images.idx3-ubyte", kTwoImages);
  folder.write("my-labels.idx1-ubyte.gz", gzipped(kTwoLabels));
  CHECK(open(images + "#1:")->labels() == std::vector<std::int64_t>{9});
}

TEST_CASE("labels of another number than the images are refused") {
  const DataFolder folder;
  const std::string images = folder.write("t10k-images-idx3-ubyte", kOneImage);
  folder.write("t10k-labels-idx1-ubyte", kTwoLabels);
  CHECK(mentions(refused(images), "1 labels, one per image, found 2"));
}

TEST_CASE("a folder with the other half only is refused with the file to name") {
  const DataFolder folder;
  folder.write("t10k-images-idx3-ubyte", kOneImage);
  CHECK(mentions(refused(folder.path()), "/t10k-images-idx3-ubyte"));
}

TEST_CASE("a folder with none of the known sets is refused") {
  const DataFolder folder;
  CHECK(mentions(refused(folder.path()), "found none of them"));
}

TEST_CASE("a CIFAR-10 folder gives five batches for training and one for testing") {
  const DataFolder folder;
  for (const char* const batch : {"1", "2", "3", "4", "5"}) {
    folder.write(std::string("cifar-10-batches-bin/data_batch_") + batch + ".bin", make_cifar(3));
  }
  folder.write("cifar-10-batches-bin/test_batch.bin", make_cifar(2));
  const auto train = open(folder.path());
  CHECK(train->num_examples() == 15);
  CHECK(train->shape() == ImageShape{3, 32, 32});
  CHECK(open(folder.path(), DatasetRole::kTest)->num_examples() == 2);
  // Images 4 to 6: over the border of two files. Image 1 of a file begins with pixel 1.
  std::vector<double> pixels(3 * 3072);
  train->read({4, 7}, pixels);
  CHECK(pixels[0] == 1 / 255.);
  CHECK(pixels[3072] == 2 / 255.);
  CHECK(pixels[2 * 3072] == 0);
  CHECK(open(folder.path() + "#2:5")->labels() == std::vector<std::int64_t>{2, 0, 1});
}

TEST_CASE("a CIFAR-10 folder without one of its batches is refused by its name") {
  const DataFolder folder;
  folder.write("data_batch_1.bin", make_cifar(1));
  try {
    open(folder.path());
    FAIL("accepted");
  } catch (const IoError& error) {
    CHECK(mentions(error.what(), "data_batch_2.bin"));
  }
}

TEST_CASE("CIFAR-10's Python version is refused with the way out") {
  const DataFolder folder;
  folder.write("data_batch_1", bytes_of("\x80\x03}q"));
  const std::string message = refusal([&] { open(folder.path()); });
  CHECK(mentions(message, "cifar-10-binary.tar.gz"));
}

TEST_CASE("CIFAR-10 truncated anywhere, empty or followed by bytes is refused") {
  const Bytes good = make_cifar(2);
  for (std::size_t size = 0; size < good.size(); ++size) {
    if (size == 3073) continue;  // one whole record
    CAPTURE(size);
    const std::string message = refusal([&] { open_cifar({in_memory(cut(good, size))}); });
    CHECK(mentions(message, "records of 3073 bytes"));
  }
  refusal([&] { open_cifar({in_memory(joined({good, bytes_of({0})}))}); });
  refusal([&] { open_cifar({in_memory(good), in_memory({})}); });
}

TEST_CASE("a CIFAR-10 label past 9 is refused with its offset") {
  const DataFolder folder;
  Bytes bytes = make_cifar(3);
  bytes[2 * 3073] = std::byte{10};
  const std::string path = folder.write("test_batch.bin", bytes);
  const std::string message = refused(path);
  CHECK(mentions(message, "offset 6146"));
  CHECK(mentions(message, "found 10"));
  CHECK(open(path + "#:2")->num_examples() == 2);
}

}  // namespace
}  // namespace gramtile::data_folders_test
