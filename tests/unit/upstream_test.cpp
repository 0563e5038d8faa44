// ∂L/∂K from disk: a dataset, and factors.
#include "io/run/read/upstream.hpp"

#include <doctest/doctest.h>

#include <limits>

#include "engine/core/errors.hpp"
#include "io/hdf5/file_builder.hpp"
#include "io/run/read/run_reader.hpp"
#include "tests/support/data_files.hpp"
#include "tests/support/run_fixture.hpp"

namespace gramtile::test::upstream_test {

namespace {

void write_matrix(const std::string& path, const std::string& name, std::vector<Index> shape,
                  const std::vector<double>& values) {
  hdf5::FileBuilder builder;
  builder.add_float64(name, shape, values);
  const hdf5::FileImage image = builder.finish();
  std::vector<std::byte> bytes(image.size_bytes());
  image.read(0, bytes);
  const auto* text = reinterpret_cast<const char*>(bytes.data());
  write_bytes(path, {text, text + bytes.size()});
}

}  // namespace

TEST_CASE("an upstream dataset is read tile by tile") {
  const TemporaryFolder folder;
  const std::string path = folder.file("u.h5");
  write_matrix(path, "U", {2, 3}, {1, 2, 3, 4, 5, 6});
  MatrixUpstream upstream(path, "/U", 2, 3);
  std::vector<double> values(2);
  upstream.read({0, 2}, {1, 2}, values);
  CHECK(values == std::vector<double>{2, 5});
  const std::string hash = upstream.check_and_hash();
  const std::string other = folder.file("v.h5");
  write_matrix(other, "U", {2, 3}, {1, 2, 3, 4, 5, 7});
  CHECK(MatrixUpstream(other, "U", 2, 3).check_and_hash() != hash);
}

TEST_CASE("an upstream of the wrong shape is refused with both shapes") {
  const TemporaryFolder folder;
  const std::string path = folder.file("u.h5");
  write_matrix(path, "U", {2, 3}, {1, 2, 3, 4, 5, 6});
  const std::string error = refusal([&] { MatrixUpstream(path, "U", 3, 3); });
  CHECK(mentions(error, path + ":/U"));
  CHECK(mentions(error, "[2, 3]"));
  CHECK(mentions(error, "[3, 3]"));
}

TEST_CASE("an upstream entry that is not finite is refused with its index in the whole matrix") {
  const TemporaryFolder folder;
  const std::string path = folder.file("u.h5");
  write_matrix(path, "U", {2, 3}, {1, 2, 3, 4, 5, std::numeric_limits<double>::quiet_NaN()});
  MatrixUpstream upstream(path, "U", 2, 3);
  std::vector<double> values(2);
  CHECK(mentions(refusal([&] { upstream.read({1, 2}, {1, 3}, values); }), "[1, 2]"));
  CHECK(mentions(refusal([&] { upstream.check_and_hash(); }), "[1, 2] is nan"));
}

TEST_CASE("factors give the entries of U times V transposed, the same for any tiles") {
  const TemporaryFolder folder;
  const std::string path = folder.file("f.h5"), other = folder.file("g.h5");
  write_matrix(path, "U", {2, 2}, {1, 2, 3, 4});
  write_matrix(other, "V", {3, 2}, {1, 0, 0, 1, 5, 6});
  FactorUpstream upstream(path, "U", other, "V", 2, 3);
  std::vector<double> values(6);
  upstream.read({0, 2}, {0, 3}, values);
  CHECK(values == std::vector<double>{1, 2, 17, 3, 4, 39});
  upstream.read({1, 2}, {1, 3}, std::span(values).first(2));
  CHECK(values[0] == 4);
  CHECK(values[1] == 39);
  CHECK(upstream.check_and_hash().size() == 32);
}

TEST_CASE("factors of other shapes, unequal ranks or with infinite entries are refused") {
  const TemporaryFolder folder;
  const std::string path = folder.file("f.h5"), other = folder.file("g.h5");
  write_matrix(path, "U", {2, 2}, {1, 2, 3, std::numeric_limits<double>::infinity()});
  write_matrix(other, "V", {3, 1}, {1, 2, 3});
  CHECK(mentions(refusal([&] { FactorUpstream(path, "U", other, "V", 2, 3); }), "[3, 2]"));
  CHECK(mentions(refusal([&] { FactorUpstream(path, "U", other, "V", 3, 3); }), "[3, r]"));
  FactorUpstream upstream(path, "U", path, "U", 2, 2);
  std::vector<double> values(4);
  CHECK(mentions(refusal([&] { upstream.read({0, 2}, {0, 2}, values); }), "[1, 1]"));
}

}  // namespace gramtile::test::upstream_test
