#include "apps/common/dry_run.hpp"

#include <fmt/format.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <stop_token>
#include <thread>

#include "apps/common/describe.hpp"
#include "apps/common/machine.hpp"
#include "apps/common/streams.hpp"
#include "apps/common/units.hpp"
#include "engine/core/errors.hpp"
#include "io/run/spec/run_image.hpp"

namespace gramtile::apps {
namespace {

constexpr Index kCalibrationTile = 32;
constexpr Index kCalibrationBlocks = 16;  // at most 16 × 16 tiles of each matrix
constexpr double kCalibrationSeconds = 1;

class DiscardingSink final : public TileSink {
 public:
  void write(const TileResult&) override {}
};

// The cost of a gradient does not depend on the upstream's values.
class OnesUpstream final : public MatrixSource {
 public:
  explicit OnesUpstream(const MatrixSpec& shape)
      : num_rows_(shape.num_rows), num_columns_(shape.num_columns) {}
  Index num_rows() const override { return num_rows_; }
  Index num_columns() const override { return num_columns_; }
  void read(Range, Range, std::span<double> values) const override {
    std::fill(values.begin(), values.end(), 1.0);
  }

 private:
  Index num_rows_, num_columns_;
};

// The job's matrices, cut down to their first rows and columns.
TilePlan corner_of(const TilePlan& plan) {
  std::vector<MatrixSpec> matrices = plan.matrices;
  for (MatrixSpec& matrix : matrices) {
    matrix.num_rows = std::min(matrix.num_rows, kCalibrationTile * kCalibrationBlocks);
    matrix.num_columns = std::min(matrix.num_columns, kCalibrationTile * kCalibrationBlocks);
  }
  return plan_tiles(std::move(matrices), std::min(kCalibrationTile, plan.tile_size));
}

std::string free_space(const std::string& out) {
  std::string folder = std::filesystem::path(out).parent_path();
  struct statvfs info {};
  if (statvfs(folder.empty() ? "." : folder.c_str(), &info) != 0) return "unknown";
  return format_bytes(static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize);
}

int num_threads(const ComputeOptions& options) {
  return options.num_threads > 0 ? options.num_threads
                                 : static_cast<int>(std::thread::hardware_concurrency());
}

void print_line(const char* name, const std::string& value) {
  print(stdout, fmt::format("{:<10} {}\n", name, value));
}

}  // namespace

double measure_rate(const Job& job) {
  const JobPlan& plan = job.plan();
  check_threads(plan.options.num_threads);
  const TilePlan corner = corner_of(plan.spec.plan);
  OnesUpstream upstream(corner.matrices.front());
  DiscardingSink sink;
  ComputeRequest request = plan.compute_request();
  request.plan = &corner;
  request.upstream = &upstream;
  for (const Tile& tile : corner.tiles) request.tiles.push_back(tile.index);
  std::stop_source stop;
  Index pairs = 0;
  const auto start = std::chrono::steady_clock::now();
  const auto elapsed = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  compute_tiles(request, plan.options, sink, stop.get_token(), [&](const Tile& tile) {
    pairs += corner.num_pairs(tile);
    if (elapsed() > kCalibrationSeconds) stop.request_stop();
  });
  return static_cast<double>(pairs) / std::max(elapsed(), 1e-9);
}

void print_plan(const Job& job) {
  const JobRequest& asked = job.request();
  const JobPlan& own = job.plan();
  const TilePlan& plan = own.spec.plan;
  const Program& program = own.inputs.program;
  const Range tiles = job.tiles();
  const Index pairs = job.num_pairs();
  ComputeRequest request = own.compute_request();
  for (Index t = tiles.start; t < tiles.stop; ++t) request.tiles.push_back(t);
  const MemoryPlan memory = plan_memory(request, own.options);
  const double rate = measure_rate(job);

  print_line("network", fmt::format("{}: {} operations, {} parameters", asked.network_name,
                                    program.ops.size(), program.parameters.size()));
  for (const InputSet& set : own.inputs.sets) print_line(set.name.c_str(), describe_set(set));
  print_line("matrices",
             fmt::format("{} in {}", describe_matrices(plan), name_of(own.spec.data_type)));
  print_line(
      "tiles",
      fmt::format("{} of {}×{}{}", format_count(tiles.size()), plan.tile_size, plan.tile_size,
                  asked.shard
                      ? fmt::format(", share {}/{} of {}", asked.shard->index, asked.shard->count,
                                    format_count(static_cast<Index>(plan.tiles.size())))
                      : ""));
  print_line("pairs", format_count(pairs));
  print_line("disk",
             fmt::format("{} for {} ({} free)", format_bytes(output_bytes(own.spec, asked.shard)),
                         asked.out, free_space(asked.out)));
  print_line("memory",
             fmt::format("{} of {}: {} tiles of {} at a time, {} blocks of {}",
                         format_bytes(memory.total_bytes), format_bytes(asked.memory_bytes),
                         memory.num_live_tiles, format_bytes(memory.tile_bytes), memory.num_blocks,
                         format_bytes(memory.block_bytes)));
  print_line("speed",
             fmt::format("{} pairs/s with {} on {} threads", format_count(static_cast<Index>(rate)),
                         own.spec.instruction_set, num_threads(own.options)));
  print_line("time", fmt::format("about {}", format_seconds(static_cast<double>(pairs) / rate)));
}

}  // namespace gramtile::apps
