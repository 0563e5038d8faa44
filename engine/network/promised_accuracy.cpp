#include "engine/network/promised_accuracy.hpp"

#include <algorithm>
#include <vector>

namespace gramtile {
namespace {

// Relus before each value, from those before the values that an operation reads.
class Depth {
 public:
  explicit Depth(const Program& program) : depths_(program.values.size(), 0) {
    for (const Op& op : program.ops) std::visit([this](const auto& any) { follow(any); }, op);
  }

  Index& at(ValueId value) { return depths_[static_cast<std::size_t>(value)]; }

 private:
  void follow(const Conv2dOp& op) { at(op.output) = at(op.input); }
  void follow(const ReluOp& op) { at(op.output) = at(op.input) + 1; }
  void follow(const SumOp& op) {
    for (const ValueId input : op.inputs) at(op.output) = std::max(at(op.output), at(input));
  }

  std::vector<Index> depths_;
};

}  // namespace

Index relu_depth(const Program& program) {
  Depth depth(program);
  return depth.at(program.output);
}

PromisedAccuracy promised_accuracy(const Program& program, DataType type) {
  const PromisedAccuracy& base = type == DataType::kFloat32 ? kPromisedFloat32 : kPromisedFloat64;
  const double factor =
      std::max(1.0, static_cast<double>(relu_depth(program)) / static_cast<double>(kPromisedRelus));
  return {factor * base.kernel, factor * base.jacobian, factor * base.gradient};
}

double promised_cosine_error(DataType type) {
  return kPromisedCosineRoundings * (type == DataType::kFloat32 ? 0x1p-24 : 0x1p-53);
}

}  // namespace gramtile
