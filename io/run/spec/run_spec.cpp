#include "io/run/spec/run_spec.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>

#include "io/run/spec/content_hash.hpp"

namespace gramtile {
namespace {

constexpr std::size_t kHashDigits = 32;
constexpr char kInstructionSet[] = "instruction set";

std::string value_of(const std::vector<SpecFact>& facts, std::string_view name) {
  const auto fact = std::ranges::find(facts, name, &SpecFact::name);
  return fact == facts.end() ? "" : fact->value;
}

std::string describe_matrix(const RunSpec& spec, std::size_t m) {
  const MatrixSpec& matrix = spec.plan.matrices[m];
  const auto set_name = [&](Index set) { return spec.sets[static_cast<std::size_t>(set)].name; };
  const std::string rows = set_name(spec.axes[m].rows);
  switch (matrix.kind) {
    case MatrixKind::kSymmetric:
      return fmt::format("{} {} [{}, symmetric]", matrix.name, rows, matrix.num_rows);
    case MatrixKind::kCross:
      return fmt::format("{} {} x {} [{}, {}]", matrix.name, rows, set_name(spec.axes[m].columns),
                         matrix.num_rows, matrix.num_columns);
    case MatrixKind::kDiagonal:
      break;
  }
  return fmt::format("{} {} [{}, diagonal]", matrix.name, rows, matrix.num_rows);
}

/// "kernel, jacobian"
std::string describe_content(const TileContent& content) {
  std::string text;
  for (const PlaneGroup& group : content.planes) text += (text.empty() ? "" : ", ") + group.name;
  if (!content.vector.empty()) text += (text.empty() ? "" : ", ") + content.vector;
  return text;
}

std::string hash_of_text(const std::string& text) {
  ContentHasher hasher;
  hasher.add(text);
  return hasher.digest();
}

}  // namespace

std::string creation_time() {
  std::time_t seconds = std::time(nullptr);
  if (const char* fixed = std::getenv("SOURCE_DATE_EPOCH")) seconds = std::atoll(fixed);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", utc.tm_year + 1900, utc.tm_mon + 1,
                     utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec);
}

std::vector<SpecFact> facts_of(const RunSpec& spec) {
  std::vector<SpecFact> facts;
  for (std::size_t m = 0; m < spec.plan.matrices.size(); ++m)
    facts.push_back({fmt::format("matrix {}", m), describe_matrix(spec, m)});
  facts.push_back({"tile size", std::to_string(spec.plan.tile_size)});
  facts.push_back({"data type", std::string(name_of(spec.data_type))});
  facts.push_back({"layout", spec.layout == DatasetLayout::kPlain ? "plain" : "cnn-gp"});
  facts.push_back({"content", describe_content(spec.content)});
  for (const ExampleSet& set : spec.sets) {
    facts.push_back({"pixels of " + set.name, set.hash});
    facts.push_back(
        {"range of " + set.name, set.positions.empty()
                                     ? fmt::format("{}:{}", set.first, set.first + set.num_examples)
                                     : "list " + label_hash(set.positions)});
    facts.push_back(
        {"labels of " + set.name, set.labels.empty() ? "none" : label_hash(set.labels)});
  }
  facts.push_back({"network", hash_of_text(spec.network)});
  for (std::size_t p = 0; p < spec.parameter_names.size(); ++p)
    facts.push_back({"parameter " + spec.parameter_names[p],
                     p < spec.parameter_values.size() ? fmt::format("{}", spec.parameter_values[p])
                                                      : std::string("unknown")});
  if (!spec.upstream_hash.empty()) facts.push_back({"upstream", spec.upstream_hash});
  facts.push_back(
      {kInstructionSet, spec.mixture.empty() ? spec.instruction_set : joined(spec.mixture.names)});
  facts.push_back({"numerics version", std::to_string(spec.numerics_version)});
  return facts;
}

std::string fingerprint_of(const RunSpec& spec) {
  ContentHasher hasher;
  for (const SpecFact& fact : facts_of(spec)) {
    hasher.add(fact.name);
    hasher.add(fact.value);
  }
  return hasher.digest();
}

std::string differences(const std::vector<SpecFact>& before, const std::vector<SpecFact>& now) {
  const auto find = [](const std::vector<SpecFact>& facts, const std::string& name) {
    const auto fact = std::ranges::find(facts, name, &SpecFact::name);
    return fact == facts.end() ? std::string("none") : fact->value;
  };
  std::string text;
  const auto append = [&](const std::string& name) {
    const std::string old_value = find(before, name), new_value = find(now, name);
    if (old_value == new_value) return;
    if (!text.empty()) text += "; ";
    text += name;
    const bool readable = old_value.size() != kHashDigits && new_value.size() != kHashDigits;
    if (readable) text += fmt::format(" ({}, now {})", old_value, new_value);
  };
  for (const SpecFact& fact : before) append(fact.name);
  for (const SpecFact& fact : now) {
    if (std::ranges::find(before, fact.name, &SpecFact::name) == before.end()) append(fact.name);
  }
  return text;
}

std::string advice_to_resume(const std::vector<SpecFact>& before,
                             const std::vector<SpecFact>& now) {
  const std::string first = value_of(before, kInstructionSet);
  if (first == value_of(now, kInstructionSet)) return "";
  return fmt::format(
      "; results of two instruction sets differ in their last digits: continue with "
      "GRAMTILE_TARGET={} in the environment, on a processor that has it, or accept the mixture "
      "with --mixed-instruction-sets",
      first);
}

std::string advice_to_merge(const std::vector<SpecFact>& before, const std::vector<SpecFact>& now) {
  if (value_of(before, kInstructionSet) == value_of(now, kInstructionSet)) return "";
  return "; results of two instruction sets differ in their last digits: compute every share with "
         "the same GRAMTILE_TARGET in the environment, one that all processors have (for example "
         "AVX2), or accept the mixture with --mixed-instruction-sets";
}

std::vector<SpecFact> without_instruction_set(std::vector<SpecFact> facts) {
  std::erase_if(facts, [](const SpecFact& fact) { return fact.name == kInstructionSet; });
  return facts;
}

}  // namespace gramtile
