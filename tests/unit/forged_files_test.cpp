// Files whose description lies, with matching fingerprint and in the format without a seal, as
// anybody could write them: refused by name, whatever they claim, and nothing is sized by what they
// claim.
#include <doctest/doctest.h>
#include <hdf5.h>
#include <sys/resource.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "io/run/read/run_reader.hpp"
#include "io/run/write/merge_shards.hpp"
#include "tests/support/run_fixture.hpp"

namespace gramtile::test::forged_files_test {
namespace {

constexpr long kMostGrowth = 64 << 10;  // of the largest resident size [KiB]

long peak_kib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

void write_text(hid_t file, const char* name, const std::string& text) {
  const hid_t attribute = H5Aopen(file, name, H5P_DEFAULT);
  const hid_t type = H5Aget_type(attribute);
  const char* pointer = text.c_str();
  CHECK(H5Awrite(attribute, type, &pointer) >= 0);
  H5Tclose(type);
  H5Aclose(attribute);
}

void write_numbers(hid_t file, const char* name, std::initializer_list<std::int64_t> values) {
  if (H5Aexists(file, name) > 0) H5Adelete(file, name);
  const hsize_t count = values.size();
  const hid_t space = count == 1 ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, &count, nullptr);
  const hid_t attribute = H5Acreate2(file, name, H5T_STD_I64LE, space, H5P_DEFAULT, H5P_DEFAULT);
  CHECK(H5Awrite(attribute, H5T_NATIVE_INT64, values.begin()) >= 0);
  H5Aclose(attribute);
  H5Sclose(space);
}

/// Gives the file of a run another description and, when asked, calls it a share; makes it one of
/// format version 1.
void forge(const std::string& path, const RunSpec& claimed, std::optional<Shard> shard = {}) {
  const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
  REQUIRE(file >= 0);
  write_text(file, "run", spec_to_json(claimed));
  write_text(file, "fingerprint", fingerprint_of(claimed));
  write_numbers(file, "format_version", {1});
  H5Ldelete(file, "seal", H5P_DEFAULT);
  if (shard) {
    write_text(file, "format", "gramtile share");
    write_numbers(file, "shard", {shard->index, shard->count});
  }
  H5Fclose(file);
  std::vector<char> bytes = read_bytes(path);
  const std::string magic = "GTSEAL01";
  const auto at = std::search(bytes.begin(), bytes.end(), magic.begin(), magic.end());
  REQUIRE(at != bytes.end());
  std::fill_n(at, magic.size(), '\0');
  write_bytes(path, bytes);
}

/// The refusal of a finished file whose description was changed by `lie`.
Error refusal_of(RunSpec spec, const std::function<void(RunSpec&)>& lie,
                 std::optional<Shard> shard = {}) {
  const TemporaryFolder folder;
  const std::string path = folder.file("forged.h5");
  run(path, spec);
  lie(spec);
  forge(path, spec, shard);
  const long before = peak_kib();
  const Error error = error_of([&] { RunReader reader(path); });
  CHECK(peak_kib() - before < kMostGrowth);
  CHECK(error.kind() == ErrorKind::kData);
  return error;
}

void claim_examples(RunSpec& spec, Index count, Index tile_size) {
  spec.sets[0].num_examples = count;
  for (MatrixSpec& matrix : spec.plan.matrices) {
    if (matrix.num_rows == 61) matrix.num_rows = count;
    if (matrix.num_columns == 61) matrix.num_columns = count;
  }
  spec.plan = plan_tiles(spec.plan.matrices, tile_size);
}

TEST_CASE("an honest file of format version 1 is read") {
  const TemporaryFolder folder;
  const std::string path = folder.file("old.h5");
  const RunSpec spec = kernel_spec();
  run(path, spec);
  forge(path, spec);
  const RunReader reader(path);
  CHECK(reader.complete());
  CHECK(reader.check_metadata().passed);
  CHECK(reader.check_metadata().note.find("no seal") != std::string::npos);
}

TEST_CASE("a derivative without parameters is refused") {
  const Error error = refusal_of(gradient_spec(), [](RunSpec& spec) {
    spec.parameter_names.clear();
    spec.parameter_values.clear();
  });
  CHECK(mentions(error, "without parameters"));
}

TEST_CASE("a symmetric matrix of two sets is refused") {
  CHECK(mentions(refusal_of(kernel_spec(),
                            [](RunSpec& spec) {
                              spec.sets[1].num_examples = 61;
                              spec.plan.matrices[1].num_rows = 61;
                              spec.plan.matrices[2].num_rows = 61;
                              spec.axes[0].columns = 1;
                              spec.plan = plan_tiles(spec.plan.matrices, 8);
                            }),
                 "of two sets"));
}

TEST_CASE("a description without anything computed is refused") {
  CHECK(mentions(refusal_of(kernel_spec(), [](RunSpec& spec) { spec.content = {}; }),
                 "nothing that was computed"));
}

TEST_CASE("a whole file that calls itself an empty share is refused") {
  const auto nothing = [](RunSpec&) {};
  const Error error = refusal_of(kernel_spec(), nothing, Shard{999'999'998, 1'000'000'000});
  CHECK(mentions(error, "does not have"));
}

TEST_CASE("counts that a file is too small for are refused before they size anything") {
  for (const auto& shard : {std::optional<Shard>(), std::optional<Shard>({0, 1'000'000'000})}) {
    for (const Index count : {Index{1} << 20, Index{1} << 29, Index{1} << 29}) {
      for (const Index tile_size : {Index{1024}, Index{1} << 22, Index{1} << 40}) {
        if (count / tile_size > 1000) continue;  // refused as too many tiles already
        CAPTURE(count);
        CAPTURE(tile_size);
        refusal_of(
            kernel_spec(),
            [&](RunSpec& spec) {
              for (ExampleSet& set : spec.sets) set.labels.clear();
              claim_examples(spec, count, tile_size);
            },
            shard);
      }
    }
  }
}

TEST_CASE("labels that do not fit their set are refused") {
  const Error error =
      refusal_of(kernel_spec(), [](RunSpec& spec) { claim_examples(spec, 1 << 29, 1 << 26); });
  CHECK(mentions(error, "one entry per example"));
}

TEST_CASE("one share of a million is refused in a line") {
  const TemporaryFolder folder;
  const std::string share = folder.file("share.h5");
  run(share, kernel_spec(), for_shard(0, 1'000'000));
  const long before = peak_kib();
  const Error error = error_of([&] { merge_shards(folder.file("out.h5"), {share}); });
  CHECK(peak_kib() - before < kMostGrowth);
  CHECK(error.kind() == ErrorKind::kPartMissing);
  CHECK(mentions(error, "10/1000000 and 999989 more"));
  CHECK(std::string(error.what()).size() < 400);
}

}  // namespace
}  // namespace gramtile::test::forged_files_test
