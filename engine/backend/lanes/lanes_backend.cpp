#include "engine/backend/lanes/lanes_backend.hpp"

#include <string>
#include <vector>

#include "engine/backend/lanes/prepared_block.hpp"
#include "engine/backend/lanes/tile_derivative.hpp"
#include "engine/backend/lanes/tile_kernel.hpp"
#include "engine/core/errors.hpp"
#include "engine/parallel/workspace_pool.hpp"
#include "engine/simd/instruction_set.hpp"
#include "engine/simd/kernels.hpp"

namespace gramtile {
namespace {

template <class T>
std::span<T> as(std::span<std::byte> bytes) {
  return {reinterpret_cast<T*>(bytes.data()), bytes.size() / sizeof(T)};
}

/// Which of the derivatives that the lanes compute, one at a time, a content has.
Derivative derivative_of(const TileContent& content) {
  for (const Derivative derivative :
       {Derivative::kNone, Derivative::kGradient, Derivative::kJacobian}) {
    if (content == content_of(content.has(kKernelPlane), derivative)) return derivative;
  }
  std::string list = content.vector;
  for (const PlaneGroup& group : content.planes) list += (list.empty() ? "" : ", ") + group.name;
  throw Error(ErrorKind::kUsage, "the lanes do not compute " + list + " of a tile");
}

template <class T>
class LanesBackend final : public Backend {
 public:
  LanesBackend(const BackendRequest& request, Executor& executor)
      : derivative_(derivative_of(request.content)),
        program_(compile_lanes(*request.program, derivative_ != Derivative::kNone)),
        executor_(executor),
        variances_(
            [this] { return LaneWorkspace<double>(program_, simd::variance_kernels().lanes); }),
        workspaces_([this] { return LaneWorkspace<T>(program_, simd::kernels<T>().lanes); }),
        derivatives_([this] {
          return DerivativeWorkspace<T>(reverse_, derivative_ == Derivative::kJacobian);
        }),
        bend_sums_(
            [this, size = request.tile_size] { return allocate_bend_sums<T>(program_, size); }) {
    if (derivative_ != Derivative::kNone) reverse_ = reverse_lanes(program_, *request.program);
  }

  void prepare(Range examples, std::span<const double> pixels,
               std::unique_ptr<BackendBlock>& block) override {
    if (block == nullptr) block = std::make_unique<PreparedBlock<T>>();
    auto& prepared = static_cast<PreparedBlock<T>&>(*block);
    reuse_block(program_, examples, prepared);
    executor_.for_each(num_packs<T>(examples.size()), [&](Index pack) {
      auto workspace = variances_.borrow();
      prepare_pack(program_, pixels, pack, *workspace, prepared);
    });
  }

  void compute(const TileJob& job) override {
    const auto& rows = static_cast<const PreparedBlock<T>&>(*job.rows);
    const std::span<T> kernel = as<T>(job.plane(kKernelPlane));
    const std::span<T> jacobian = as<T>(job.plane(kJacobianPlane));
    if (job.columns == nullptr) {
      compute_diagonal(rows, kernel, jacobian);
      return;
    }
    const auto& columns = static_cast<const PreparedBlock<T>&>(*job.columns);
    const TileOperands<T> tile{program_, rows, columns, job.triangle};
    if (derivative_ == Derivative::kGradient) {
      compute_tile_gradient<T>(tile, reverse_, {job.upstream, job.mirrored_upstream}, executor_,
                               derivatives_, bend_sums_, kernel, job.vector);
    } else if (!jacobian.empty()) {
      compute_tile_jacobian<T>(tile, reverse_, executor_, derivatives_, kernel, jacobian);
    } else if (!kernel.empty()) {
      compute_tile_kernel<T>(tile, executor_, workspaces_, kernel);
    }
  }

 private:
  void compute_diagonal(const PreparedBlock<T>& block, std::span<T> kernel, std::span<T> jacobian) {
    for (std::size_t i = 0; i < kernel.size(); ++i) kernel[i] = static_cast<T>(block.diagonal[i]);
    if (!jacobian.empty()) {
      compute_diagonal_jacobian<T>(block, reverse_, executor_, derivatives_, jacobian);
    }
  }

  const Derivative derivative_;
  const LaneProgram program_;
  ReverseProgram reverse_;  ///< of derivatives
  Executor& executor_;
  WorkspacePool<LaneWorkspace<double>> variances_;
  WorkspacePool<LaneWorkspace<T>> workspaces_;
  WorkspacePool<DerivativeWorkspace<T>> derivatives_;
  WorkspacePool<PairBends<T>> bend_sums_;
};

template <class T>
Footprint footprint_of(const BackendRequest& request) {
  const Derivative derivative = derivative_of(request.content);
  const bool tape = derivative != Derivative::kNone, jacobian = derivative == Derivative::kJacobian;
  // Sizes do not depend on the powers of two that maps are stored with.
  const std::vector<int> exponents(request.program->values.size(), 0);
  const LaneProgram program = compile_lanes(*request.program, tape, exponents);
  Footprint footprint;
  footprint.block_bytes = PreparedBlock<T>::bytes(program, request.tile_size);
  if (tape && !jacobian) footprint.tile_bytes = bend_sums_bytes<T>(program, request.tile_size);
  footprint.thread_bytes = LaneWorkspace<double>::bytes(program, simd::variance_kernels().lanes);
  footprint.thread_bytes +=
      tape ? DerivativeWorkspace<T>::bytes(reverse_lanes(program, *request.program), jacobian)
           : LaneWorkspace<T>::bytes(program, simd::kernels<T>().lanes);
  return footprint;
}

class LanesKind final : public BackendKind {
 public:
  std::string_view name() const override { return instruction_set(); }

  Footprint footprint(const BackendRequest& request) const override {
    return request.data_type == DataType::kFloat32 ? footprint_of<float>(request)
                                                   : footprint_of<double>(request);
  }

  std::unique_ptr<Backend> make(const BackendRequest& request, Executor& executor) const override {
    if (request.data_type == DataType::kFloat32)
      return std::make_unique<LanesBackend<float>>(request, executor);
    return std::make_unique<LanesBackend<double>>(request, executor);
  }
};

}  // namespace

const BackendKind& lanes_backend() {
  static const LanesKind kind;
  return kind;
}

const BackendKind& default_backend() { return lanes_backend(); }

}  // namespace gramtile
