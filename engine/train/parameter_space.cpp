#include "engine/train/parameter_space.hpp"

#include <fmt/format.h>

#include <cmath>

#include "engine/core/errors.hpp"
#include "engine/network/parameter_values.hpp"

namespace gramtile {
namespace {

void check_bounds(const std::string& name, double value) {
  if (value >= kLeastVariance && value <= kMostVariance) return;
  throw Error(ErrorKind::kUsage,
              fmt::format("{} is {:g}; training takes numbers between {:g} and {:g}", name, value,
                          kLeastVariance, kMostVariance));
}

}  // namespace

ParameterSpace::ParameterSpace(const Program& program, double noise, bool noise_is_fixed)
    : parameters_(program.parameters), noise_(noise) {
  const std::vector<bool> is_logit = parameters_that_are_logits(program);
  for (std::size_t p = 0; p < parameters_.size(); ++p) {
    const Parameter& parameter = parameters_[p];
    if (!is_logit[p] && parameter.value == 0) continue;
    if (!is_logit[p]) check_bounds(parameter.name, parameter.value);
    coordinates_.push_back({.parameter = static_cast<Index>(p), .is_log = !is_logit[p]});
  }
  if (coordinates_.empty())
    throw Error(ErrorKind::kUsage, "the network has no parameter that can be trained");
  if (noise_is_fixed) return;
  check_bounds("the noise", noise);
  coordinates_.push_back({});
}

std::vector<double> ParameterSpace::start() const {
  std::vector<double> point;
  for (const Coordinate& c : coordinates_) {
    const double value =
        c.parameter == kNoParameter ? noise_ : parameters_[as_size(c.parameter)].value;
    point.push_back(c.is_log ? std::log(value) : value);
  }
  return point;
}

std::string ParameterSpace::name(Index i) const {
  const Coordinate& c = coordinates_[as_size(i)];
  const std::string name =
      c.parameter == kNoParameter ? std::string("noise") : parameters_[as_size(c.parameter)].name;
  return c.is_log ? "log " + name : name;
}

std::vector<double> ParameterSpace::values(std::span<const double> point) const {
  std::vector<double> result;
  for (const Parameter& parameter : parameters_) result.push_back(parameter.value);
  for (std::size_t i = 0; i < point.size(); ++i) {
    const Coordinate& c = coordinates_[i];
    if (c.parameter == kNoParameter) continue;
    result[as_size(c.parameter)] = c.is_log ? std::exp(point[i]) : point[i];
  }
  return result;
}

double ParameterSpace::noise(std::span<const double> point) const {
  return coordinates_.back().parameter == kNoParameter ? std::exp(point.back()) : noise_;
}

Index ParameterSpace::out_of_bounds(std::span<const double> point) const {
  const double least = std::log(kLeastVariance), most = std::log(kMostVariance);
  for (std::size_t i = 0; i < point.size(); ++i) {
    const bool inside =
        coordinates_[i].is_log ? point[i] >= least && point[i] <= most : std::isfinite(point[i]);
    if (!inside) return static_cast<Index>(i);
  }
  return -1;
}

std::vector<double> ParameterSpace::to_coordinates(std::span<const double> point,
                                                   std::span<const double> gradient,
                                                   double by_log_noise) const {
  std::vector<double> result;
  for (std::size_t i = 0; i < coordinates_.size(); ++i) {
    const Coordinate& c = coordinates_[i];
    if (c.parameter == kNoParameter) {
      result.push_back(by_log_noise);
    } else {
      result.push_back(gradient[as_size(c.parameter)] * (c.is_log ? std::exp(point[i]) : 1));
    }
  }
  return result;
}

}  // namespace gramtile
