// K of images in memory, to a file that survives whatever happens, and read back where it is
// needed.
#include <io/job/job.hpp>
#include <io/run/read/run_reader.hpp>
#include <stop_token>
#include <string>
#include <vector>

/// Writes Kxx of `images` to `path`, or continues where an earlier call was stopped. `on_percent`
/// is told how far it is, and may ask `stop` to end the call after the tiles in hand.
bool write_kernel(gramtile::Network network, gramtile::BlockSource& images, const std::string& path,
                  const std::function<void(double)>& on_percent, std::stop_token stop) {
  gramtile::JobRequest request;
  request.network = std::move(network);
  request.sets = {{.name = "train", .source = "my images", .images = &images}};
  request.matrices = {{.name = "Kxx", .kind = gramtile::MatrixKind::kSymmetric, .rows = "train"}};
  request.memory_bytes = std::size_t{256} << 20;
  request.out = path;
  request.mode = gramtile::StartMode::kResume;
  const auto report = [&](const gramtile::JobProgress& now) {
    on_percent(100.0 * static_cast<double>(now.done_pairs) / static_cast<double>(now.total_pairs));
  };
  return gramtile::run_job(std::move(request), report, std::move(stop)).complete;
}

/// Rows [first, last) of the finished Kxx: no more of it is in memory than is asked for.
std::vector<double> kernel_rows(const std::string& path, gramtile::Index first,
                                gramtile::Index last) {
  const gramtile::RunReader reader(path);
  const gramtile::Index n = reader.spec().plan.matrices[0].num_columns;
  std::vector<double> values(static_cast<std::size_t>((last - first) * n));
  reader.read_entries(0, {first, last}, {0, n}, values);
  return values;
}
