#include "engine/gramtile.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "engine/schedule/compute_arrays.hpp"

namespace gramtile {
namespace {

std::vector<std::string> names_of(const Program& program) {
  std::vector<std::string> names;
  for (const Parameter& parameter : program.parameters) names.push_back(parameter.name);
  return names;
}

std::string text(ImageShape shape) {
  return fmt::format("[{}, {}, {}]", shape.channels, shape.height, shape.width);
}

void check_images(const Program& program, ImageShape shape) {
  if (shape == program.input) return;
  throw Error(ErrorKind::kUsage, fmt::format("images have shape {}, the network takes {}",
                                             text(shape), text(program.input)));
}

ArraySource source_of(const Program& program, const ImageView& images) {
  check_images(program, images.shape);
  return ArraySource::view(images);
}

bool is_nonnegative(BlockSource& source) {
  constexpr Index kBlockValues = 1 << 16;
  const Index num_values = source.shape().num_values(), num_images = source.num_examples();
  const Index step = std::max<Index>(1, kBlockValues / num_values);
  std::vector<double> pixels;
  for (Index start = 0; start < num_images; start += step) {
    const Range range{start, std::min(start + step, num_images)};
    pixels.resize(static_cast<std::size_t>(range.size() * num_values));
    source.read(range, pixels);
    if (std::ranges::any_of(pixels, [](double pixel) { return pixel < 0; })) return false;
  }
  return true;
}

/// The images of one call, and the program with what is known of them.
class Call {
 public:
  Call(const Program& program, const ImageView& x)
      : own_rows_(source_of(program, x)), rows_(&*own_rows_), program_(program) {
    if (own_rows_->nonnegative()) assume_nonnegative_images(program_);
  }
  Call(const Program& program, const ImageView& rows, const ImageView& columns)
      : own_rows_(source_of(program, rows)),
        own_columns_(source_of(program, columns)),
        rows_(&*own_rows_),
        columns_(&*own_columns_),
        program_(program) {
    if (own_rows_->nonnegative() && own_columns_->nonnegative())
      assume_nonnegative_images(program_);
  }
  Call(const Program& program, BlockSource& rows, BlockSource* columns)
      : rows_(&rows), columns_(columns), program_(program) {
    check_images(program, rows.shape());
    if (columns != nullptr) check_images(program, columns->shape());
    if (is_nonnegative(rows) && (columns == nullptr || is_nonnegative(*columns)))
      assume_nonnegative_images(program_);
  }
  Call(const Call&) = delete;  // rows_ may point into it
  Call& operator=(const Call&) = delete;

  const Program& program() const { return program_; }
  Index num_rows() const { return rows_->num_examples(); }
  Index num_columns() const { return (columns_ != nullptr ? columns_ : rows_)->num_examples(); }

  void run(const ComputeOptions& options, const ArrayTargets& targets,
           Derivative derivative = Derivative::kNone, MatrixSource* upstream = nullptr) const {
    fill_arrays(program_, *rows_, columns_, options, targets, derivative, upstream);
  }
  void run_diagonal(const ComputeOptions& options, const ArrayTargets& targets,
                    Derivative derivative = Derivative::kNone) const {
    fill_diagonal(program_, *rows_, options, targets, derivative);
  }

 private:
  std::optional<ArraySource> own_rows_, own_columns_;
  BlockSource* rows_;
  BlockSource* columns_ = nullptr;
  Program program_;
};

void check_result(const MatrixSpan& to, Index num_rows, Index num_columns, const std::string& name,
                  const ComputeOptions& options) {
  if (to.num_rows != num_rows || to.num_columns != num_columns) {
    throw Error(ErrorKind::kUsage,
                fmt::format("the array for {} has shape [{}, {}], the result has [{}, {}]", name,
                            to.num_rows, to.num_columns, num_rows, num_columns));
  }
  if (to.type != options.data_type) {
    throw Error(ErrorKind::kUsage,
                fmt::format("the array for {} holds {}, but options.data_type is {}", name,
                            name_of(to.type), name_of(options.data_type)));
  }
  if (to.data == nullptr) {
    throw Error(ErrorKind::kUsage, fmt::format("the array for {} has no memory", name));
  }
}

void check_result(const Call& call, const MatrixSpan& to, const std::string& name,
                  const ComputeOptions& options) {
  check_result(to, call.num_rows(), call.num_columns(), name, options);
}

void matrix(const Call& call, const MatrixSpan& k, const ComputeOptions& options) {
  check_result(call, k, "K", options);
  call.run(options, {.kernel = k, .jacobian = {}, .gradient = {}});
}

KernelGradient gradient(const Call& call, MatrixSource& upstream, const ComputeOptions& options) {
  KernelGradient result{names_of(call.program()), {}};
  result.gradient.assign(result.parameters.size(), 0.0);
  call.run(options, {.kernel = {}, .jacobian = {}, .gradient = result.gradient},
           Derivative::kGradient, &upstream);
  return result;
}

KernelGradient gradient(const Call& call, const MatrixView& upstream,
                        const ComputeOptions& options) {
  if (upstream.num_rows != call.num_rows() || upstream.num_columns != call.num_columns()) {
    throw Error(ErrorKind::kUsage,
                fmt::format("the upstream has shape [{}, {}], K has [{}, {}]", upstream.num_rows,
                            upstream.num_columns, call.num_rows(), call.num_columns()));
  }
  ArrayUpstream source(upstream);
  return gradient(call, source, options);
}

/// Arrays for a jacobian, and for K where its data is not nullptr, of num_rows × num_columns pairs.
void check_results(const Call& call, const CubeSpan& to, const MatrixSpan& k, Index num_rows,
                   Index num_columns, const ComputeOptions& options) {
  const auto num_parameters = static_cast<Index>(call.program().parameters.size());
  if (to.num_planes != num_parameters) {
    throw Error(ErrorKind::kUsage,
                fmt::format("the array for the jacobian has {} planes, the network {} parameters",
                            to.num_planes, num_parameters));
  }
  if (num_parameters > 0) check_result(to.first, num_rows, num_columns, "the jacobian", options);
  if (k.data != nullptr) check_result(k, num_rows, num_columns, "K", options);
}

void jacobian(const Call& call, const CubeSpan& to, const MatrixSpan& k,
              const ComputeOptions& options) {
  check_results(call, to, k, call.num_rows(), call.num_columns(), options);
  call.run(options, {.kernel = k, .jacobian = to, .gradient = {}}, Derivative::kJacobian);
}

}  // namespace

void kernel_matrix(const Program& program, const ImageView& x, const MatrixSpan& k,
                   const ComputeOptions& options) {
  matrix({program, x}, k, options);
}

void kernel_matrix(const Program& program, const ImageView& rows, const ImageView& columns,
                   const MatrixSpan& k, const ComputeOptions& options) {
  matrix({program, rows, columns}, k, options);
}

void kernel_matrix(const Program& program, BlockSource& rows, BlockSource* columns,
                   const MatrixSpan& k, const ComputeOptions& options) {
  matrix({program, rows, columns}, k, options);
}

void kernel_diagonal(const Program& program, const ImageView& x, const MatrixSpan& k,
                     const ComputeOptions& options) {
  const Call call(program, x);
  check_result(k, call.num_rows(), 1, "K", options);
  call.run_diagonal(options, {.kernel = k, .jacobian = {}, .gradient = {}});
}

KernelGradient kernel_gradient(const Program& program, const ImageView& x,
                               const MatrixView& upstream, const ComputeOptions& options) {
  return gradient({program, x}, upstream, options);
}

KernelGradient kernel_gradient(const Program& program, const ImageView& rows,
                               const ImageView& columns, const MatrixView& upstream,
                               const ComputeOptions& options) {
  return gradient({program, rows, columns}, upstream, options);
}

KernelGradient kernel_gradient(const Program& program, BlockSource& rows, BlockSource* columns,
                               MatrixSource& upstream, const ComputeOptions& options) {
  return gradient({program, rows, columns}, upstream, options);
}

void kernel_jacobian(const Program& program, const ImageView& x, const CubeSpan& to,
                     const MatrixSpan& k, const ComputeOptions& options) {
  jacobian({program, x}, to, k, options);
}

void kernel_jacobian(const Program& program, const ImageView& rows, const ImageView& columns,
                     const CubeSpan& to, const MatrixSpan& k, const ComputeOptions& options) {
  jacobian({program, rows, columns}, to, k, options);
}

void kernel_diagonal_jacobian(const Program& program, const ImageView& x, const CubeSpan& to,
                              const MatrixSpan& k, const ComputeOptions& options) {
  const Call call(program, x);
  check_results(call, to, k, call.num_rows(), 1, options);
  call.run_diagonal(options, {.kernel = k, .jacobian = to, .gradient = {}}, Derivative::kJacobian);
}

}  // namespace gramtile
