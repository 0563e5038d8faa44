// Identities that derivatives satisfy exactly (docs/mathematics.md, §8), and what parameters mean.
//
// In float64 an identity between derivatives of one pair holds to the sum of their bounds
// (derivative_bound.hpp, weighted as in the identity), of which the lanes use a small part.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "tests/support/derivative_bound.hpp"
#include "tests/support/gradient_runs.hpp"
#include "tests/support/rounding_bound.hpp"

namespace gramtile::test::gradient_identities_test {
namespace {

constexpr ImageShape kShape{.channels = 2, .height = 8, .width = 8};

constexpr const char* kChain = R"({"layers": [
  {"type": "conv2d", "kernel_size": 3, "var_weight": 1.7, "var_bias": 0.3},
  {"type": "relu"},
  {"type": "conv2d", "kernel_size": 2, "stride": 2, "var_weight": 2.3, "var_bias": 0.2},
  {"type": "relu"},
  {"type": "conv2d", "kernel_size": 3, "dilation": 1, "var_weight": 1.9, "var_bias": 0.1},
  {"type": "relu"},
  {"type": "conv2d", "kernel_size": 4, "padding": 0, "var_weight": 0.9, "var_bias": 0.4}]})";

constexpr const char* kChainWithoutBias = R"({"layers": [
  {"type": "conv2d", "kernel_size": 3, "var_weight": 1.7},
  {"type": "relu"},
  {"type": "conv2d", "kernel_size": 5, "var_weight": 2.3},
  {"type": "relu"},
  {"type": "conv2d", "kernel_size": 8, "padding": 0, "var_weight": 0.9}]})";

/// Both forms of a matrix over random images; the cross form shares an image with itself.
std::vector<MatrixImages> both_forms(std::uint64_t seed, ImageShape shape = kShape) {
  const Images images = random_images(seed, shape, 6);
  Images columns = random_images(seed + 1, shape, 4);
  columns.append(images[2]);
  return {MatrixImages::square(images), MatrixImages::cross(images, columns)};
}

/// θ · ∂K/∂θ of one parameter, entry by entry, and the sum of bounds of its errors.
struct Term {
  std::vector<double> value, bound;
};

class Terms {
 public:
  Terms(const Program& program, const MatrixImages& images, DataType type,
        AngleErrors angles = AngleErrors::kCancelling)
      : program_(program),
        images_(images),
        type_(type),
        angles_(angles),
        jacobian_(lane_jacobian(program, images, {type})) {}

  /// `fixed`: 1 instead of θ.
  Term of(const std::string& name, bool fixed = false) const {
    const std::size_t p = parameter_index(program_, name), n = images_.num_entries();
    const double theta = fixed ? 1 : program_.parameters[p].value;
    Term term;
    for (std::size_t i = 0; i < n; ++i) {
      const Index row = static_cast<Index>(i) / images_.num_columns();
      const Index column = static_cast<Index>(i) % images_.num_columns();
      const auto bound = derivative_bound(program_, images_.rows[row], images_.column(column),
                                          type_, images_.symmetric && row == column, angles_);
      term.value.push_back(theta * jacobian_[p * n + i]);
      term.bound.push_back(theta * (bound.error[p] + unit_rounding(type_) * bound.magnitude[p]));
    }
    return term;
  }

 private:
  const Program& program_;
  const MatrixImages& images_;
  DataType type_;
  AngleErrors angles_;
  std::vector<double> jacobian_;
};

Term operator+(Term a, const Term& b) {
  for (std::size_t i = 0; i < a.value.size(); ++i) {
    a.value[i] += b.value[i];
    a.bound[i] += b.bound[i];
  }
  return a;
}

void check_equal(const Term& a, const Term& b) {
  for (std::size_t i = 0; i < a.value.size(); ++i) {
    CAPTURE(i);
    CHECK(std::abs(a.value[i] - b.value[i]) <= a.bound[i] + b.bound[i]);
  }
}

}  // namespace

// Errors of a cosine cancel in (16): both sides scale a relu's three maps alike, which leaves c as
// it is. Hence the bounds without them.
TEST_CASE("scale moves freely between consecutive convolutions") {
  const Program program = program_of(kChain, kShape);
  for (const MatrixImages& images : both_forms(1)) {
    for (const DataType type : kDataTypes) {
      CAPTURE(name_of(type));
      const Terms terms(program, images, type);
      for (int l = 0; l < 3; ++l) {
        CAPTURE(l);
        const std::string here = "conv" + std::to_string(l), next = "conv" + std::to_string(l + 1);
        check_equal(terms.of(here + ".var_weight") + terms.of(here + ".var_bias"),
                    terms.of(next + ".var_weight"));
      }
    }
  }
}

TEST_CASE("the derivative by the last var_bias is exactly 1") {
  const Program program = program_of(kChain, kShape);
  const std::size_t last = parameter_index(program, "conv3.var_bias");
  for (const MatrixImages& images : both_forms(3)) {
    const auto n = static_cast<std::ptrdiff_t>(images.num_entries());
    for (const DataType type : kDataTypes) {
      const auto jacobian = lane_jacobian(program, images, {type});
      const auto first = jacobian.begin() + static_cast<std::ptrdiff_t>(last) * n;
      CHECK(std::vector<double>(first, first + n) ==
            std::vector<double>(images.num_entries(), 1.0));
    }
  }
}

TEST_CASE("K is homogeneous of degree 1 in the last layer: w ∂K/∂w + b ∂K/∂b = K") {
  const Program program = program_of(kChain, kShape);
  for (const MatrixImages& images : both_forms(5)) {
    for (const DataType type : kDataTypes) {
      CAPTURE(name_of(type));
      const Terms terms(program, images, type);
      const auto kernel = images.symmetric
                              ? lane_kernel(program, images.rows, {type})
                              : lane_kernel(program, images.rows, images.columns, {type});
      const auto diagonal = lane_kernel(program, images.rows, {type});
      const Term sum = terms.of("conv3.var_weight") + terms.of("conv3.var_bias");
      for (std::size_t i = 0; i < kernel.size(); ++i) {
        // No entry is larger than the largest variance; that of a column may not be among them.
        const double scale = 2 * *std::max_element(diagonal.begin(), diagonal.end()) + kernel[i];
        CHECK(std::abs(sum.value[i] - kernel[i]) <=
              sum.bound[i] + kernel_bound(program, type) * scale);
      }
    }
  }
}

TEST_CASE("without biases K is homogeneous of degree 1 in every var_weight") {
  const Program program = program_of(kChainWithoutBias, kShape);
  for (const MatrixImages& images : both_forms(7)) {
    for (const DataType type : kDataTypes) {
      CAPTURE(name_of(type));
      const Terms terms(program, images, type);
      const Term first = terms.of("conv0.var_weight");
      check_equal(first, terms.of("conv1.var_weight"));
      check_equal(first, terms.of("conv2.var_weight"));
    }
  }
}

TEST_CASE("the derivatives by the logits of a mixture add up to 0") {
  const Program program = program_of(R"({"layers": [
    {"type": "conv2d", "kernel_size": 3, "var_bias": 0.2},
    {"type": "mixture", "logits": [0.3, -0.4, 0.9, 0.1], "branches": [
      [], [{"type": "relu"}], [{"type": "conv2d", "kernel_size": 3}],
      [{"type": "relu"}, {"type": "conv2d", "kernel_size": 2, "var_bias": 0.3}]]},
    {"type": "relu"}, {"type": "conv2d", "kernel_size": 8, "padding": 0}]})",
                                     kShape);
  for (const MatrixImages& images : both_forms(9)) {
    for (const DataType type : kDataTypes) {
      CAPTURE(name_of(type));
      const Terms terms(program, images, type);
      Term sum = terms.of("mixture0.logit0", true);
      for (const char* name : {"mixture0.logit1", "mixture0.logit2", "mixture0.logit3"}) {
        sum = sum + terms.of(name, true);
      }
      for (std::size_t i = 0; i < sum.value.size(); ++i) {
        CHECK(std::abs(sum.value[i]) <= sum.bound[i]);
      }
    }
  }
}

// Scaling the images scales every variance that enters the first window alike.
TEST_CASE("the derivative by the first var_weight is that by the images' scale") {
  const Program program = program_of(kChain, kShape);
  const Images images = random_images(11, kShape, 5);
  const double h = 1e-4;
  const auto kernel_at = [&](double factor) {  // of images whose squares are scaled by 1 + factor
    Images scaled = images;
    for (double& pixel : scaled.pixels) pixel *= std::sqrt(1 + factor);
    return lane_kernel(program, scaled, {});
  };
  const auto above = kernel_at(h), below = kernel_at(-h), half_above = kernel_at(h / 2),
             half_below = kernel_at(-h / 2);
  const Term weight =
      Terms(program, MatrixImages::square(images), DataType::kFloat64).of("conv0.var_weight");
  const double rounding = kernel_bound(program, DataType::kFloat64);
  for (std::size_t i = 0; i < above.size(); ++i) {
    const double coarse = (above[i] - below[i]) / (2 * h),
                 fine = (half_above[i] - half_below[i]) / h;
    const double scale = std::sqrt(above[i / 5 * 6] * above[i % 5 * 6]);
    const double tolerance = 2 * std::abs(coarse - fine) + 2 * 2 * rounding * scale / h;
    CHECK(std::abs(fine - weight.value[i]) <= tolerance + weight.bound[i]);
    CHECK(tolerance <= 1e-5 * scale);
  }
}

// The same network with numbers and with names: every number that a name stands for has a
// derivative of its own there. The sum over uses is one of at most 4 terms in double.
TEST_CASE("a named parameter has one entry, the sum over its uses times the scale") {
  const std::string numbers = R"({"layers": [
    {"type": "conv2d", "kernel_size": 3, "var_weight": 3.6, "var_bias": 0.3},
    {"type": "relu"},
    {"type": "conv2d", "kernel_size": 3, "var_weight": 1.8, "var_bias": 0.15},
    {"type": "relu"},
    {"type": "conv2d", "kernel_size": 8, "padding": 0, "var_weight": 0.9, "var_bias": 0.3}]})";
  const std::string names = R"({"parameters": {"w": 1.8, "b": 0.3, "unused": 4,
                                               "fixed": {"value": 0.9, "trainable": false}},
    "layers": [
    {"type": "conv2d", "kernel_size": 3, "var_weight": {"parameter": "w", "scale": 2}, "var_bias": "b"},
    {"type": "relu"},
    {"type": "conv2d", "kernel_size": 3, "var_weight": "w", "var_bias": {"parameter": "b", "scale": 0.5}},
    {"type": "relu"},
    {"type": "conv2d", "kernel_size": 8, "padding": 0, "var_weight": "fixed", "var_bias": "b"}]})";
  const Program by_number = program_of(numbers, kShape), by_name = program_of(names, kShape);
  REQUIRE(by_name.parameters.size() == 3);
  const auto of = [&](const std::vector<double>& values, const char* name) {
    return values[parameter_index(by_number, name)];
  };
  for (const MatrixImages& images : both_forms(13)) {
    const auto upstream = random_numbers(13, images.num_entries());
    for (const DataType type : kDataTypes) {
      const auto number = lane_gradient(by_number, images, upstream, {type});
      const auto name = lane_gradient(by_name, images, upstream, {type});
      const double w0 = of(number, "conv0.var_weight"), w1 = of(number, "conv1.var_weight");
      const double b0 = of(number, "conv0.var_bias"), b1 = of(number, "conv1.var_bias"),
                   b2 = of(number, "conv2.var_bias");
      const double u = 8 * unit_rounding(DataType::kFloat64);
      CHECK(std::abs(name[parameter_index(by_name, "w")] - (2 * w0 + w1)) <=
            u * (2 * std::abs(w0) + std::abs(w1)));
      CHECK(std::abs(name[parameter_index(by_name, "b")] - (b0 + b1 / 2 + b2)) <=
            u * (std::abs(b0) + std::abs(b1) + std::abs(b2)));
      CHECK(name[parameter_index(by_name, "unused")] == 0);
    }
  }
}

TEST_CASE("a network without a parameter has an empty gradient and jacobian") {
  const Program program = program_of(R"({"parameters": {"w": {"value": 2, "trainable": false}},
    "layers": [{"type": "conv2d", "kernel_size": 8, "padding": 0, "var_weight": "w"}]})",
                                     kShape);
  for (const MatrixImages& images : both_forms(15)) {
    CHECK(lane_jacobian(program, images).empty());
    CHECK(lane_gradient(program, images, random_numbers(1, images.num_entries())).empty());
  }
}

}  // namespace gramtile::test::gradient_identities_test
