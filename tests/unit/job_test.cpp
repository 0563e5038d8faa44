// A job as a call: what kernel-build and kernel-grad do, for callers without a command line.
#include "io/job/job.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "docs/examples/job.cpp"
#include "engine/core/array_source.hpp"
#include "engine/core/array_upstream.hpp"
#include "engine/core/errors.hpp"
#include "engine/reference/reference.hpp"
#include "io/network/network_json.hpp"
#include "io/run/read/run_reader.hpp"
#include "io/run/write/merge_shards.hpp"
#include "tests/support/data_files.hpp"
#include "tests/support/lane_runs.hpp"
#include "tests/support/reference_backend.hpp"
#include "tests/support/run_fixture.hpp"

namespace gramtile::job_test {
namespace {

using namespace test;

constexpr ImageShape kShape{.channels = 1, .height = 4, .width = 4};
constexpr const char* kNetwork = R"({"layers": [
  {"type": "conv2d", "kernel_size": 3, "var_bias": 0.1}, {"type": "relu"},
  {"type": "conv2d", "kernel_size": 4, "padding": 0}]})";

/// Bytes of a file depend on when it was begun.
struct FixedTime {
  FixedTime() { setenv("SOURCE_DATE_EPOCH", "0", 1); }
  ~FixedTime() { unsetenv("SOURCE_DATE_EPOCH"); }
};

struct Fixture {
  FixedTime time;
  DataFolder files;
  TemporaryFolder folder;
  Images x = random_images(1, kShape, 23), y = random_images(2, kShape, 9);
  ArraySource train = ArraySource::view(kShape, x.pixels),
              test = ArraySource::view(kShape, y.pixels);

  /// Kxx, Kxtx and Kt_diag of images in memory.
  JobRequest request(const std::string& out) {
    JobRequest request;
    request.network = read_network(kNetwork, "");
    request.network_name = "the test's network";
    request.sets = {{.name = "train", .source = "x", .images = &train},
                    {.name = "test", .source = "y", .images = &test}};
    request.matrices = {{"Kxx", MatrixKind::kSymmetric, "train"},
                        {"Kxtx", MatrixKind::kCross, "test", "train"},
                        {"Kt_diag", MatrixKind::kDiagonal, "test"}};
    request.tile_size = 5;
    request.num_threads = 2;
    request.out = folder.file(out);
    return request;
  }
  /// ∂L/∂θ through Kxx.
  JobRequest gradient_request(const std::string& out, MatrixSource* upstream) {
    JobRequest request = this->request(out);
    request.sets.pop_back();
    request.matrices = {{"Kxx", MatrixKind::kSymmetric, "train"}};
    request.with_kernel = false;
    request.derivative = Derivative::kGradient;
    request.upstream.values = upstream;
    request.upstream.description = "my dL/dK";
    return request;
  }
  std::string npy(const std::string& name, const std::string& shape,
                  const std::vector<double>& values) {
    return files.write(
        name, make_npy(npy_dict("<f8", shape), bytes_of(std::as_bytes(std::span(values)))));
  }
};

TEST_CASE("images of the caller give the run that the same images of a file give") {
  Fixture f;
  JobRequest of_memory = f.request("memory.h5"), of_file = f.request("file.h5");
  of_file.sets = {{.name = "train", .source = f.npy("x.npy", "(23, 1, 4, 4)", f.x.pixels)},
                  {.name = "test", .source = f.npy("y.npy", "(9, 1, 4, 4)", f.y.pixels)}};
  CHECK(run_job(of_memory).complete);
  CHECK(run_job(of_file).complete);
  const RunReader memory(of_memory.out), file(of_file.out);
  CHECK(fingerprint_of(memory.spec()) == fingerprint_of(file.spec()));
  REQUIRE(memory.tiles() == file.tiles());
  for (const Index tile : memory.tiles()) CHECK(memory.stored_hash(tile) == file.stored_hash(tile));
  CHECK(memory.spec().sets[0].source == "x");
}

TEST_CASE("a job that was stopped is resumed by the next call, to the same bytes") {
  Fixture f;
  const JobOutcome whole = run_job(f.request("whole.h5"));
  CHECK(whole.complete);
  CHECK(whole.num_done == whole.num_tiles);
  CHECK(whole.computed_pairs == 23 * 24 / 2 + 9 * 23 + 9);

  JobRequest request = f.request("stopped.h5");
  request.mode = StartMode::kResume;
  request.num_threads = 1;
  int calls = 0, num_stops = 0;
  JobOutcome outcome;
  do {
    std::stop_source stop;
    outcome = run_job(
        request,
        [&](const JobProgress&) {
          if (++calls % 4 == 0) stop.request_stop();
        },
        stop.get_token());
    num_stops += outcome.complete ? 0 : 1;
    CHECK(outcome.complete == (outcome.num_done == outcome.num_tiles));
  } while (!outcome.complete && num_stops < 100);
  CHECK(num_stops > 2);
  CHECK(read_bytes(request.out) == read_bytes(f.request("whole.h5").out));
  CHECK(run_job(request).already_complete);
}

TEST_CASE("a job that was given up at any tile throws, and is resumed to the same bytes") {
  Fixture f;
  const JobOutcome whole = run_job(f.request("whole.h5"));
  for (Index given_up_at = 0; given_up_at < whole.num_tiles; ++given_up_at) {
    JobRequest request = f.request("given_up.h5");
    request.num_threads = 1;  // no other tile is finished meanwhile
    std::stop_source abandon;
    request.abandon = abandon.get_token();
    Index reports = 0;
    const auto give_up = [&](const JobProgress&) {
      if (reports++ == given_up_at) abandon.request_stop();
    };
    CHECK_THROWS_WITH_AS(run_job(request, give_up),
                         "interrupted: what was not finished is given up", Error);
    CHECK(reports == given_up_at + 1);
    request.mode = StartMode::kResume;
    request.abandon = {};
    const JobOutcome rest = run_job(request);
    CHECK(rest.complete);
    CHECK(read_bytes(f.folder.file("given_up.h5")) == read_bytes(f.folder.file("whole.h5")));
    std::filesystem::remove(f.folder.file("given_up.h5"));
  }
  JobRequest at_once = f.request("at_once.h5");
  std::stop_source abandon;
  abandon.request_stop();
  at_once.abandon = abandon.get_token();
  CHECK_THROWS_WITH_AS(run_job(at_once), "interrupted", Error);  // while reading its inputs
  CHECK(!std::filesystem::exists(at_once.out + ".partial"));
}

TEST_CASE("progress begins with what is there, never falls and ends with everything") {
  Fixture f;
  std::vector<Index> done;
  Index total = 0;
  run_job(f.request("k.h5"), [&](const JobProgress& now) {
    done.push_back(now.done_pairs);
    total = now.total_pairs;
  });
  CHECK(total == 23 * 24 / 2 + 9 * 23 + 9);
  CHECK(done.front() == 0);
  CHECK(done.back() == total);
  CHECK(std::is_sorted(done.begin(), done.end()));
}

TEST_CASE("shares of jobs are merged to the bytes of one job") {
  Fixture f;
  run_job(f.request("whole.h5"));
  std::vector<std::string> shares;
  for (Index r = 0; r < 3; ++r) {
    JobRequest request = f.request("share" + std::to_string(r) + ".h5");
    request.shard = Shard{r, 3};
    CHECK(run_job(request).complete);
    shares.push_back(request.out);
  }
  merge_shards(f.folder.file("merged.h5"), shares);
  CHECK(read_bytes(f.folder.file("merged.h5")) == read_bytes(f.folder.file("whole.h5")));
}

TEST_CASE("an upstream of the caller gives the run that the same upstream of a file gives") {
  Fixture f;
  std::vector<double> values(23 * 23);
  Random random(3);
  for (double& value : values) value = random.normal();
  ArrayUpstream upstream(values, 23, 23);
  const JobRequest of_memory = f.gradient_request("memory.h5", &upstream);
  JobRequest of_file = f.gradient_request("file.h5", nullptr);
  of_file.upstream = {.matrix = f.npy("u.npy", "(23, 23)", values)};
  run_job(of_memory);
  run_job(of_file);
  const RunReader memory(of_memory.out), file(of_file.out);
  CHECK(memory.spec().upstream_hash == file.spec().upstream_hash);
  CHECK(fingerprint_of(memory.spec()) == fingerprint_of(file.spec()));
  CHECK(memory.vector() == file.vector());
  CHECK(memory.spec().upstream == "my dL/dK");
}

TEST_CASE("a job runs on any backend, and its file names it") {
  Fixture f;
  JobRequest request = f.request("k.h5");
  request.backend = &reference_backend();
  request.data_type = DataType::kFloat64;
  run_job(request);
  const RunReader reader(request.out);
  CHECK(reader.spec().instruction_set == "reference");
  std::vector<double> values(23);
  reader.read_entries(1, {4, 5}, {0, 23}, values);
  const Program program = lower(request.network, kShape);
  for (Index j = 0; j < 23; ++j)
    CHECK(values[static_cast<std::size_t>(j)] == reference::kernel(program, f.y[4], f.x[j]));
}

/// What a job that cannot be says, and of which kind its error is.
void check_refused(JobRequest request, ErrorKind kind, const std::string& text) {
  const Error error = error_of([&] { run_job(std::move(request)); });
  CHECK(error.kind() == kind);
  CHECK_MESSAGE(mentions(error, text), error.what());
}

TEST_CASE("a job that cannot be is refused in a line, and leaves nothing behind") {
  Fixture f;
  const auto changed = [&](const std::function<void(JobRequest&)>& change) {
    JobRequest request = f.request("k.h5");
    change(request);
    return request;
  };
  check_refused(changed([](JobRequest& r) { r.sets.clear(); }), ErrorKind::kUsage,
                "there are no images");
  check_refused(changed([](JobRequest& r) { r.matrices.clear(); }), ErrorKind::kUsage,
                "no matrix has images");
  check_refused(changed([](JobRequest& r) {
                  r.sets[0].labels = {1, 2};
                }),
                ErrorKind::kUsage, "x: 2 labels for 23 images");
  check_refused(changed([](JobRequest& r) { r.out = ""; }), ErrorKind::kUsage, "--out is empty");
  check_refused(changed([](JobRequest& r) { r.memory_bytes = 1 << 15; }), ErrorKind::kUsage,
                "is too little");
  check_refused(changed([](JobRequest& r) { r.out = "/nowhere/k.h5"; }), ErrorKind::kCannotCreate,
                "/nowhere");
  check_refused(f.gradient_request("g.h5", nullptr), ErrorKind::kUsage, "needs an upstream");
  std::vector<double> bad(23 * 23, 1.0);
  bad[24] = std::numeric_limits<double>::quiet_NaN();
  const std::string path = f.npy("bad.npy", "(23, 23)", bad);
  JobRequest gradient = f.gradient_request("g.h5", nullptr);
  gradient.upstream = {.matrix = path};
  check_refused(gradient, ErrorKind::kData, "entry [1, 1] is nan");
  CHECK(std::filesystem::is_empty(f.folder.path()));

  run_job(f.request("k.h5"));
  check_refused(f.request("k.h5"), ErrorKind::kCannotCreate, "exists");
}

TEST_CASE("an input never becomes the output of its own job") {
  Fixture f;
  const std::string images = f.npy("x.npy", "(23, 1, 4, 4)", f.x.pixels);
  const std::vector<char> before = read_bytes(images);
  JobRequest request = f.request("k.h5");
  request.sets = {{.name = "train", .source = images}};
  request.out = images;
  request.mode = StartMode::kOverwrite;
  check_refused(request, ErrorKind::kUsage, "which is an input");
  CHECK(read_bytes(images) == before);
}

TEST_CASE("the example writes K, continues where it was stopped, and reads it back") {
  Fixture f;
  const std::string path = f.folder.file("example.h5");
  std::stop_source stop;
  const bool first = write_kernel(
      read_network(kNetwork, ""), f.train, path, [&](double) { stop.request_stop(); },
      stop.get_token());
  double last_percent = -1;
  const bool second = write_kernel(read_network(kNetwork, ""), f.train, path,
                                   [&](double percent) { last_percent = percent; }, {});
  CHECK(!first);
  CHECK(second);
  CHECK(last_percent == 100);
  const std::vector<double> rows = kernel_rows(path, 5, 7);
  REQUIRE(rows.size() == 2 * 23);
  const std::vector<double> whole =
      lane_kernel(lower(read_network(kNetwork, ""), kShape), f.x, {.type = DataType::kFloat32});
  CHECK(std::equal(rows.begin(), rows.end(), whole.begin() + 5 * 23));
}

TEST_CASE("docs/library.md quotes the job's example to the letter") {
  const auto contents = [](const std::string& path) {
    std::ifstream file(std::string(GRAMTILE_TESTS_DIR) + "/../" + path);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  };
  const std::string code = contents("docs/examples/job.cpp");
  REQUIRE(!code.empty());
  CHECK(contents("docs/library.md").find("```cpp\n" + code + "```\n") != std::string::npos);
}

}  // namespace
}  // namespace gramtile::job_test
