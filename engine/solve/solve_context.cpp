#include "engine/solve/solve_context.hpp"

namespace gramtile {

SolveContext::SolveContext(const SolverOptions& options)
    : options_(options),
      executor_(make_executor(options.num_threads)),
      buffers_([edge = static_cast<std::size_t>(options.edge)] {
        return std::vector<double>(edge * edge);
      }) {
  executor_->abandon_on(options.stop);
}

void SolveContext::step(double flops) const {
  if (options_.on_progress) options_.on_progress(flops);
  if (options_.stop.stop_requested()) throw Error(ErrorKind::kInterrupted, "interrupted");
}

}  // namespace gramtile
