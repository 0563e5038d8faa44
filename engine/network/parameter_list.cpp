// The walk of lower() over the layer tree, without maps: it counts and names as that does.
#include "engine/network/parameter_list.hpp"

#include <fmt/format.h>

#include <map>
#include <utility>

#include "engine/core/errors.hpp"
#include "engine/network/path.hpp"
#include "engine/network/program.hpp"

namespace gramtile {
namespace {

class Listing {
 public:
  explicit Listing(const Network& network) {
    for (const auto& [name, parameter] : network.parameters)
      named_[name] = {
          .name = name, .value = parameter.value, .trainable = parameter.trainable, .places = {}};
  }

  std::vector<ListedParameter> run(const Layers& layers) {
    const Path root;
    walk(layers, "layers", root);
    for (const bool trainable : {true, false}) {
      for (const auto& [name, parameter] : named_) {
        if (parameter.trainable == trainable) numbers_.push_back(parameter);
      }
    }
    return std::move(numbers_);
  }

 private:
  void walk(const Layers& layers, std::string_view key, const Path& path) {
    for (std::size_t i = 0; i < layers.size(); ++i) {
      const Path here = path.at(key, static_cast<Index>(i));
      count_step(here);
      std::visit([&](const auto& kind) { layer(kind, here); }, layers[i].kind);
    }
  }

  void layer(const Conv2d& conv, const Path& path) {
    variances(conv, fmt::format("conv{}", num_convs_++), path);
  }
  void layer(const Dense& dense, const Path& path) {
    variances(dense, fmt::format("dense{}", num_dense_++), path);
  }
  void layer(const Identity&, const Path&) {}
  void layer(const Activation&, const Path&) {}
  void layer(const Sequential& sequential, const Path& path) {
    walk(sequential.layers, "layers", path);
  }
  void layer(const Repeat& repeat, const Path& path) {
    for (Index turn = 0; turn < repeat.times; ++turn) {
      count_step(path);
      walk(repeat.layers, "layers", path);
    }
  }
  void layer(const Sum& sum, const Path& path) { branches(sum.branches, path); }
  void layer(const Mixture& mixture, const Path& path) {
    const Index number = num_mixtures_++;
    for (std::size_t b = 0; b < mixture.logits.size(); ++b) {
      numbers_.push_back({.name = fmt::format("mixture{}.logit{}", number, b),
                          .kind = ParameterKind::kLogit,
                          .value = mixture.logits[b],
                          .places = {path.at("logits", static_cast<Index>(b)).text()}});
    }
    branches(mixture.branches, path);
  }

  void branches(const std::vector<Layers>& branches, const Path& path) {
    for (std::size_t b = 0; b < branches.size(); ++b) {
      const Path here = path.at("branches", static_cast<Index>(b));
      count_step(here);
      walk(branches[b], {}, here);
    }
  }

  template <class Variances>
  void variances(const Variances& layer, const std::string& name, const Path& path) {
    use(layer.var_weight, name + ".var_weight", path.at("var_weight"));
    // A literal 0 means "no bias", as in lower().
    if (layer.var_bias.parameter || layer.var_bias.value != 0)
      use(layer.var_bias, name + ".var_bias", path.at("var_bias"));
  }

  void use(const Variance& variance, const std::string& name, const Path& path) {
    if (!variance.parameter) {
      numbers_.push_back({.name = name, .value = variance.value, .places = {path.text()}});
      return;
    }
    const auto found = named_.find(*variance.parameter);
    if (found == named_.end()) {
      throw NetworkError(path.text(),
                         fmt::format("no parameter is called \"{}\"", *variance.parameter));
    }
    found->second.places.push_back(path.text());
  }

  void count_step(const Path& path) {
    if (++num_steps_ <= kMaxSteps) return;
    throw NetworkError(
        path.text(),
        fmt::format("the network has more than {} layers, branches and turns of repeats",
                    kMaxSteps));
  }

  std::vector<ListedParameter> numbers_;
  std::map<std::string, ListedParameter> named_;
  Index num_convs_ = 0, num_dense_ = 0, num_mixtures_ = 0, num_steps_ = 0;
};

}  // namespace

std::vector<ListedParameter> list_parameters(const Network& network) {
  return Listing(network).run(network.layers);
}

}  // namespace gramtile
