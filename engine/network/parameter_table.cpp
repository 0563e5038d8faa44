#include "engine/network/parameter_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/core/errors.hpp"

namespace gramtile {
namespace {

constexpr Index kFirstPlaceholder = kNoParameter - 1;

// Named parameter 0, 1, 2 … is −2, −3, −4 … until the number of numbers is known.
Index placeholder(Index named_index) { return kFirstPlaceholder - named_index; }

/// Calls do_it(use) for every variance that an operation uses.
template <class Do>
void for_each_use(Conv2dOp& op, const Do& do_it) {
  do_it(op.weight);
  do_it(op.bias);
}
template <class Do>
void for_each_use(ActivationOp&, const Do&) {}
template <class Do>
void for_each_use(SumOp&, const Do&) {}

void check_variance(double value, const Path& path) {
  if (!std::isfinite(value) || value < 0) {
    throw NetworkError(path.text(),
                       fmt::format("a variance must be finite and not negative, found {}", value));
  }
}

}  // namespace

ParameterTable::ParameterTable(const std::map<std::string, NamedParameter>& named) : named_(named) {
  const Path root;
  const Path path = root.at("parameters");
  for (const auto& [name, parameter] : named_) {
    check_variance(parameter.value, path.at(name));
    if (parameter.trainable) {
      const Index index = static_cast<Index>(named_index_.size());
      named_index_.emplace(name, index);
    }
  }
}

VarianceUse ParameterTable::use(const Variance& variance, const std::string& name,
                                const Path& path) {
  if (!variance.parameter) {
    check_variance(variance.value, path);
    return {.value = variance.value, .parameter = add(name, variance.value)};
  }
  const auto found = named_.find(*variance.parameter);
  if (found == named_.end()) {
    throw NetworkError(path.text(),
                       fmt::format("no parameter is called \"{}\"", *variance.parameter));
  }
  check_variance(variance.scale, path.at("scale"));
  VarianceUse use{.value = variance.scale * found->second.value, .scale = variance.scale};
  check_variance(use.value, path);  // the product may overflow
  if (found->second.trainable) {
    use.parameter = placeholder(named_index_.at(found->first));
  }
  return use;
}

Index ParameterTable::add(const std::string& name, double value) {
  numbers_.push_back({name, value});
  return static_cast<Index>(numbers_.size()) - 1;
}

void ParameterTable::resolve(Program& program) {
  const Index num_numbers = static_cast<Index>(numbers_.size());
  const auto resolve_use = [&](VarianceUse& use) {
    if (use.parameter <= kFirstPlaceholder) {
      use.parameter = num_numbers + (kFirstPlaceholder - use.parameter);
    }
  };
  for (Op& op : program.ops) {
    std::visit([&](auto& any) { for_each_use(any, resolve_use); }, op);
  }
  for (const Parameter& number : numbers_) {
    if (named_.contains(number.name)) {
      const Path root;
      throw NetworkError(root.at("parameters").text() + "." + number.name,
                         "this name is taken by a number of the network; choose another");
    }
  }
  program.parameters = std::move(numbers_);
  for (const auto& [name, index] : named_index_) {
    program.parameters.push_back({name, named_.at(name).value});
  }
}

}  // namespace gramtile
