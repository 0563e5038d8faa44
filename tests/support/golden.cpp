#include "tests/support/golden.hpp"

#include <fmt/format.h>
#include <hdf5.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "io/network/network_json.hpp"

namespace gramtile::test {
namespace {

namespace fs = std::filesystem;

hid_t checked(hid_t id, const std::string& what) {
  if (id < 0) {
    throw std::runtime_error("golden file: cannot read " + what);
  }
  return id;
}

struct Array {
  std::vector<Index> shape;
  std::vector<double> values;
};

Array read_array(hid_t file, const std::string& name) {
  const hid_t dataset = checked(H5Dopen2(file, name.c_str(), H5P_DEFAULT), name);
  const hid_t space = checked(H5Dget_space(dataset), name);
  std::vector<hsize_t> extents(static_cast<std::size_t>(H5Sget_simple_extent_ndims(space)));
  H5Sget_simple_extent_dims(space, extents.data(), nullptr);
  Array array{{extents.begin(), extents.end()}, {}};
  array.values.resize(static_cast<std::size_t>(H5Sget_simple_extent_npoints(space)));
  checked(H5Dread(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, array.values.data()),
          name);
  H5Sclose(space);
  H5Dclose(dataset);
  return array;
}

// The strings of an attribute of variable-length strings.
std::vector<std::string> read_strings(hid_t file, const char* object, const char* name) {
  const hid_t attribute =
      checked(H5Aopen_by_name(file, object, name, H5P_DEFAULT, H5P_DEFAULT), name);
  const hid_t space = checked(H5Aget_space(attribute), name);
  const hid_t type = checked(H5Aget_type(attribute), name);
  std::vector<char*> texts(static_cast<std::size_t>(H5Sget_simple_extent_npoints(space)));
  checked(H5Aread(attribute, type, texts.data()), name);
  std::vector<std::string> result(texts.begin(), texts.end());
  H5Dvlen_reclaim(type, space, H5P_DEFAULT, texts.data());
  H5Tclose(type);
  H5Sclose(space);
  H5Aclose(attribute);
  return result;
}

GoldenCase read_hdf5(const fs::path& path) {
  const hid_t file = checked(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), path.string());
  GoldenCase golden;
  golden.name = path.stem().string();
  golden.network = read_strings(file, "/", "network").front();
  const Array x = read_array(file, "X");
  const Array k = read_array(file, "K");
  golden.shape = {.channels = x.shape.at(1), .height = x.shape.at(2), .width = x.shape.at(3)};
  golden.num_rows = k.shape.at(0);
  golden.num_columns = k.shape.at(1);
  golden.x = x.values;
  golden.k = k.values;
  if (H5Lexists(file, "Z", H5P_DEFAULT) > 0) {
    golden.z = read_array(file, "Z").values;
  }
  golden.parameters = read_strings(file, "dK", "parameters");
  golden.dk = read_array(file, "dK").values;
  golden.upstream = read_array(file, "upstream").values;
  golden.gradient = read_array(file, "gradient").values;
  H5Fclose(file);
  return golden;
}

GoldenCase read_json(const fs::path& path) {
  std::ifstream stream(path);
  const nlohmann::json json = nlohmann::json::parse(stream);
  GoldenCase golden;
  golden.name = path.stem().string();
  golden.network = json.at("network").dump();
  const auto shape = json.at("shape").get<std::vector<Index>>();
  golden.shape = {.channels = shape.at(0), .height = shape.at(1), .width = shape.at(2)};
  golden.num_rows = json.at("num_rows");
  golden.num_columns = json.at("num_columns");
  json.at("X").get_to(golden.x);
  json.at("Z").get_to(golden.z);
  json.at("K").get_to(golden.k);
  json.at("parameters").get_to(golden.parameters);
  json.at("dK").get_to(golden.dk);
  json.at("upstream").get_to(golden.upstream);
  json.at("gradient").get_to(golden.gradient);
  return golden;
}

std::vector<fs::path> files_in(const fs::path& folder, const std::string& extension) {
  std::vector<fs::path> files;
  if (fs::is_directory(folder)) {
    for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
      if (entry.path().extension() == extension) {
        files.push_back(entry.path());
      }
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

constexpr const char* kLargeCases[] = {
    "activations/activations", "convnet_gp", "convnet_gp_tied", "dilation", "mixture", "readme_rgb",
    "residual_cnn_gp",         "resnet32"};

// Tells which cases this run has.
void count_aloud(std::size_t num_small, std::size_t num_large,
                 const std::vector<std::string>& missing) {
  std::printf("golden cases: %zu small, %zu large in %s\n", num_small, num_large,
              GRAMTILE_GOLDEN_DIR);
  if (!missing.empty()) {
    std::printf("golden cases: NOT CHECKED, for want of their files: %s\n",
                fmt::format("{}", fmt::join(missing, ", ")).c_str());
  }
}

std::span<const double> image(const std::vector<double>& images, ImageShape shape, Index i) {
  const std::size_t size = static_cast<std::size_t>(shape.num_values());
  return std::span(images).subspan(static_cast<std::size_t>(i) * size, size);
}

}  // namespace

std::span<const double> GoldenCase::row(Index i) const { return image(x, shape, i); }

std::span<const double> GoldenCase::column(Index j) const {
  return image(symmetric() ? x : z, shape, j);
}

Program GoldenCase::program() const { return lower(read_network(network, name), shape); }

std::vector<std::size_t> GoldenCase::indices_in(const Program& program) const {
  std::vector<std::size_t> indices;
  for (const std::string& parameter : parameters) {
    const auto found =
        std::find_if(program.parameters.begin(), program.parameters.end(),
                     [&](const Parameter& candidate) { return candidate.name == parameter; });
    if (found == program.parameters.end()) {
      throw std::runtime_error(name + ": the program has no parameter " + parameter);
    }
    indices.push_back(static_cast<std::size_t>(found - program.parameters.begin()));
  }
  return indices;
}

std::vector<GoldenCase> golden_cases() {
  std::vector<GoldenCase> cases;
  for (const fs::path& path : files_in(fs::path(GRAMTILE_TESTS_DIR) / "golden", ".json")) {
    cases.push_back(read_json(path));
  }
  if (cases.empty()) {
    throw std::runtime_error("tests/golden has no cases");
  }
  const std::size_t num_small = cases.size();
  for (const fs::path& folder :
       {fs::path(GRAMTILE_GOLDEN_DIR), fs::path(GRAMTILE_GOLDEN_DIR) / "activations"}) {
    for (const fs::path& path : files_in(folder, ".h5")) cases.push_back(read_hdf5(path));
  }
  const auto missing = missing_golden_cases(GRAMTILE_GOLDEN_DIR);
  static std::once_flag told;
  std::call_once(told, [&] { count_aloud(num_small, cases.size() - num_small, missing); });
  require_golden_cases(missing, std::getenv("CI"));
  return cases;
}

std::vector<std::string> missing_golden_cases(const std::string& folder) {
  std::vector<std::string> missing;
  for (const char* name : kLargeCases) {
    if (!fs::exists(fs::path(folder) / (std::string(name) + ".h5"))) missing.emplace_back(name);
  }
  return missing;
}

void require_golden_cases(const std::vector<std::string>& missing, const char* ci) {
  if (missing.empty() || ci == nullptr || *ci == '\0') return;
  throw std::runtime_error(
      fmt::format("golden cases {} are missing, and CI is set: put their files where "
                  "GRAMTILE_GOLDEN_DIR points",
                  fmt::join(missing, ", ")));
}

}  // namespace gramtile::test
