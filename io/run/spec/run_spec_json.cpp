#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <stdexcept>

#include "engine/core/errors.hpp"
#include "io/run/spec/run_spec.hpp"

namespace gramtile {
namespace {

using Json = nlohmann::ordered_json;

const char* name_of_kind(MatrixKind kind) {
  return kind == MatrixKind::kSymmetric ? "symmetric"
         : kind == MatrixKind::kCross   ? "cross"
                                        : "diagonal";
}

MatrixKind kind_of(const std::string& name) {
  if (name == "symmetric") return MatrixKind::kSymmetric;
  if (name == "cross") return MatrixKind::kCross;
  if (name == "diagonal") return MatrixKind::kDiagonal;
  throw std::invalid_argument("matrix kind '" + name + "'");
}

const char* name_of_derivative(Derivative derivative) {
  return derivative == Derivative::kNone       ? "none"
         : derivative == Derivative::kGradient ? "gradient"
                                               : "jacobian";
}

Derivative derivative_of(const std::string& name) {
  if (name == "none") return Derivative::kNone;
  if (name == "gradient") return Derivative::kGradient;
  if (name == "jacobian") return Derivative::kJacobian;
  throw std::invalid_argument("derivative '" + name + "'");
}

/// The contents that every version of this format knows are told by two keys; others are listed.
std::optional<Derivative> derivative_of(const TileContent& content) {
  for (const Derivative derivative :
       {Derivative::kNone, Derivative::kGradient, Derivative::kJacobian}) {
    if (content == content_of(content.has(kKernelPlane), derivative)) return derivative;
  }
  return std::nullopt;
}

void write_content(const TileContent& content, Json& json) {
  const std::optional<Derivative> known = derivative_of(content);
  json["with_kernel"] = known ? content.has(kKernelPlane) : false;
  json["derivative"] = name_of_derivative(known.value_or(Derivative::kNone));
  if (known) return;
  Json planes = Json::array();
  for (const PlaneGroup& group : content.planes) {
    planes.push_back(
        {{"name", group.name}, {"prefix", group.prefix}, {"per_parameter", group.per_parameter}});
  }
  json["planes"] = planes;
  json["vector"] = content.vector;
}

TileContent read_content(const Json& json) {
  if (!json.contains("planes")) {
    return content_of(json.at("with_kernel").get<bool>(),
                      derivative_of(json.at("derivative").get<std::string>()));
  }
  TileContent content;
  for (const Json& entry : json.at("planes")) {
    content.planes.push_back({.name = entry.at("name").get<std::string>(),
                              .prefix = entry.at("prefix").get<std::string>(),
                              .per_parameter = entry.at("per_parameter").get<bool>()});
  }
  content.vector = json.at("vector").get<std::string>();
  return content;
}

bool is_by_parameter(const TileContent& content) {
  return !content.vector.empty() || std::ranges::any_of(content.planes, &PlaneGroup::per_parameter);
}

/// Names that would be the same dataset, or none.
void check_content(const TileContent& content) {
  std::set<std::string> names, prefixes;
  for (const PlaneGroup& group : content.planes) {
    if (group.name.empty() || !names.insert(group.name).second ||
        !prefixes.insert(group.prefix).second)
      throw std::invalid_argument("planes");
  }
  if (content.planes.empty() && content.vector.empty())
    throw std::invalid_argument("nothing that was computed");
}

constexpr Index kMaxCount = Index{1} << 40;

Index positive(const Json& value) {
  const auto number = value.get<Index>();
  if (number < 1 || number > kMaxCount)
    throw std::invalid_argument("a count of " + std::to_string(number));
  return number;
}

/// Everything that indexes something else, so that a hostile file cannot lead outside.
void check(const RunSpec& spec) {
  const auto num_sets = static_cast<Index>(spec.sets.size());
  for (std::size_t m = 0; m < spec.axes.size(); ++m) {
    const MatrixAxes axes = spec.axes[m];
    const MatrixSpec& matrix = spec.plan.matrices[m];
    if (axes.rows < 0 || axes.rows >= num_sets || axes.columns < 0 || axes.columns >= num_sets)
      throw std::invalid_argument("axes of matrix " + std::to_string(m));
    const auto extent = [&](Index set) {
      return spec.sets[static_cast<std::size_t>(set)].num_examples;
    };
    const bool fits =
        matrix.num_rows == extent(axes.rows) &&
        (matrix.kind == MatrixKind::kDiagonal ? matrix.num_columns == 1
                                              : matrix.num_columns == extent(axes.columns));
    if (!fits) throw std::invalid_argument("shape of matrix " + matrix.name);
    if (matrix.kind == MatrixKind::kSymmetric && axes.rows != axes.columns)
      throw std::invalid_argument("symmetric matrix " + matrix.name + " of two sets");
  }
  if (spec.axes.empty()) throw std::invalid_argument("no matrices");
  check_content(spec.content);
  if (is_by_parameter(spec.content) && spec.parameter_names.empty())
    throw std::invalid_argument("a derivative without parameters");
  if (spec.parameter_names.size() != spec.parameter_values.size())
    throw std::invalid_argument("parameters");
}

MatrixSpec matrix_from(const Json& entry) {
  MatrixSpec matrix;
  matrix.name = entry.at("name").get<std::string>();
  matrix.kind = kind_of(entry.at("kind").get<std::string>());
  matrix.num_rows = positive(entry.at("rows"));
  matrix.num_columns = positive(entry.at("columns"));
  return matrix;
}

RunSpec parse(const std::string& text) {
  const Json json = Json::parse(text);
  RunSpec spec;
  std::vector<MatrixSpec> matrices;
  for (const Json& entry : json.at("matrices")) {
    matrices.push_back(matrix_from(entry));
    spec.axes.push_back({entry.at("row_set").get<Index>(), entry.at("column_set").get<Index>()});
  }
  const Index tile_size = positive(json.at("tile_size"));
  constexpr auto kMaxTiles = static_cast<double>(kMaxRunTiles);
  constexpr double kMaxPairs = 1e18;
  double num_tiles = 0, num_pairs = 0;
  for (const MatrixSpec& m : matrices) {
    num_tiles += (static_cast<double>(m.num_rows) / static_cast<double>(tile_size) + 1) *
                 (static_cast<double>(m.num_columns) / static_cast<double>(tile_size) + 1);
  }
  for (const MatrixSpec& m : matrices)
    num_pairs += static_cast<double>(m.num_rows) * static_cast<double>(m.num_columns);
  if (num_pairs > kMaxPairs) throw std::invalid_argument("more pairs than a run may have");
  if (num_tiles > kMaxTiles) throw std::invalid_argument("more tiles than a run may have");
  spec.plan = plan_tiles(std::move(matrices), tile_size);
  for (const Json& entry : json.at("sets")) {
    ExampleSet set;
    set.name = entry.at("name").get<std::string>();
    set.source = entry.at("source").get<std::string>();
    set.hash = entry.at("hash").get<std::string>();
    set.num_examples = positive(entry.at("num_examples"));
    set.first = entry.at("first").get<Index>();
    set.scattered = entry.value("scattered", false);
    if (set.first < 0 || set.first > kMaxCount) throw std::invalid_argument("range of " + set.name);
    spec.sets.push_back(std::move(set));
  }
  spec.data_type = json.at("data_type").get<std::string>() == "float32" ? DataType::kFloat32
                                                                        : DataType::kFloat64;
  spec.layout = json.at("layout").get<std::string>() == "cnn-gp" ? DatasetLayout::kCnnGp
                                                                 : DatasetLayout::kPlain;
  spec.content = read_content(json);
  spec.network = json.at("network").get<std::string>();
  spec.parameter_names = json.at("parameter_names").get<std::vector<std::string>>();
  spec.parameter_values = json.at("parameter_values").get<std::vector<double>>();
  spec.upstream_hash = json.at("upstream_hash").get<std::string>();
  spec.instruction_set = json.at("instruction_set").get<std::string>();
  spec.numerics_version = json.at("numerics_version").get<int>();
  spec.upstream = json.at("upstream").get<std::string>();
  spec.command = json.at("command").get<std::string>();
  spec.created = json.at("created").get<std::string>();
  check(spec);
  return spec;
}

std::string utf8(const std::string& text) {
  const Json json = text;
  return Json::parse(json.dump(-1, ' ', false, Json::error_handler_t::replace)).get<std::string>();
}

}  // namespace

RunSpec with_utf8_texts(RunSpec spec) {
  for (ExampleSet& set : spec.sets) set.source = utf8(set.source);
  spec.upstream = utf8(spec.upstream);
  spec.command = utf8(spec.command);
  return spec;
}

std::string spec_to_json(const RunSpec& spec) {
  Json matrices = Json::array();
  for (std::size_t m = 0; m < spec.plan.matrices.size(); ++m) {
    const MatrixSpec& matrix = spec.plan.matrices[m];
    matrices.push_back({{"name", matrix.name},
                        {"kind", name_of_kind(matrix.kind)},
                        {"rows", matrix.num_rows},
                        {"columns", matrix.num_columns},
                        {"row_set", spec.axes[m].rows},
                        {"column_set", spec.axes[m].columns}});
  }
  Json sets = Json::array();
  for (const ExampleSet& set : spec.sets) {
    sets.push_back({{"name", set.name},
                    {"source", set.source},
                    {"hash", set.hash},
                    {"num_examples", set.num_examples},
                    {"first", set.first}});
    // As with labels, their dataset holds the positions themselves.
    if (set.scattered) sets.back()["scattered"] = true;
  }
  Json json = {{"tile_size", spec.plan.tile_size},
               {"matrices", matrices},
               {"sets", sets},
               {"data_type", std::string(name_of(spec.data_type))},
               {"layout", spec.layout == DatasetLayout::kPlain ? "plain" : "cnn-gp"}};
  write_content(spec.content, json);
  json["network"] = spec.network;
  json["parameter_names"] = spec.parameter_names;
  json["parameter_values"] = spec.parameter_values;
  json["upstream_hash"] = spec.upstream_hash;
  json["instruction_set"] = spec.instruction_set;
  json["numerics_version"] = spec.numerics_version;
  json["upstream"] = spec.upstream;
  json["command"] = spec.command;
  json["created"] = spec.created;
  // Paths and commands are bytes; what is not UTF-8 is replaced rather than refused.
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

RunSpec spec_from_json(const std::string& text, const std::string& file) {
  try {
    return parse(text);
  } catch (const std::exception& problem) {
    throw DataError(file, std::string("the description of the run is damaged: ") + problem.what());
  }
}

}  // namespace gramtile
