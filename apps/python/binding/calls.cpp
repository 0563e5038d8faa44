#include "apps/python/binding/calls.hpp"

#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "apps/python/binding/arrays.hpp"
#include "apps/python/binding/interruptible.hpp"
#include "apps/python/binding/network.hpp"
#include "apps/python/binding/upstreams.hpp"
#include "engine/core/kept_buffers.hpp"
#include "engine/gramtile.hpp"
#include "engine/network/parameter_list.hpp"
#include "engine/network/parameter_values.hpp"
#include "io/network/network_json.hpp"

namespace gramtile::python {
namespace {

namespace nb = nanobind;

/// The images of a call; the second set is absent for K(x, x).
struct Images {
  Images(const ReadOnlyArray& x_array, const std::optional<ReadOnlyArray>& z_array,
         bool channels_last)
      : x(images_of(x_array, channels_last)) {
    if (z_array) z = images_of(*z_array, channels_last);
  }

  Index num_columns() const { return (z ? *z : x).num_images; }
  Index num_pairs() const { return x.num_images * num_columns() / (z ? 1 : 2); }

  ImageView x;
  std::optional<ImageView> z;
};

/// "float32" or "float64", threads, bytes.
using PlainOptions = std::tuple<std::string, int, std::size_t>;

ComputeOptions compute_options(const PlainOptions& plain) {
  const auto& [type, threads, memory] = plain;
  ComputeOptions options;
  options.data_type = type == "float64" ? DataType::kFloat64 : DataType::kFloat32;
  options.num_threads = threads;
  options.memory_bytes = memory;
  return options;
}

/// What a call does, in pixels of maps of pairs: about a nanosecond each, several of a derivative.
double work_of(const Program& program, Index num_pairs, double passes) {
  double pixels = 0;
  for (const Value& value : program.values) pixels += static_cast<double>(value.shape.num_pixels());
  return pixels * passes * static_cast<double>(num_pairs);
}

/// Runs call(program, options) without the interpreter's lock. Short work, which is over before
/// anybody could press Ctrl-C or a second thread be of use, is done by the calling thread alone.
template <class Call>
void run(const SharedNetwork& network, ImageShape shape, Index num_pairs, double passes,
         const PlainOptions& plain, const Call& call) {
  constexpr double kWorthAThread = 5e5, kWorthWatching = 1e7;
  constexpr std::size_t kKeptBytes = std::size_t{32} << 20;
  keep_freed_buffers(kKeptBytes);  // a training loop makes the same call again and again
  ComputeOptions options = compute_options(plain);
  const auto program = network.program(shape);
  const double work = work_of(*program, num_pairs, passes);
  if (work < kWorthAThread) options.num_threads = 1;
  if (work < kWorthWatching) {
    const nb::gil_scoped_release released;
    return call(*program, options);
  }
  run_interruptibly([&](std::stop_token stop) {
    options.abandon = std::move(stop);
    call(*program, options);
  });
}

constexpr double kGradientPasses = 4;
double jacobian_passes(const SharedNetwork& network) {
  return 4 + static_cast<double>(list_parameters(network.network()).size());
}

void kernel(const SharedNetwork& network, const ReadOnlyArray& x,
            const std::optional<ReadOnlyArray>& z, const WritableArray& k, bool channels_last,
            const PlainOptions& options) {
  const Images images(x, z, channels_last);
  const MatrixSpan to = matrix_of(k);
  run(network, images.x.shape, images.num_pairs(), 1, options,
      [&](const Program& program, const ComputeOptions& compute) {
        images.z ? kernel_matrix(program, images.x, *images.z, to, compute)
                 : kernel_matrix(program, images.x, to, compute);
      });
}

void diagonal(const SharedNetwork& network, const ReadOnlyArray& x, const WritableArray& k,
              bool channels_last, const PlainOptions& options) {
  const ImageView images = images_of(x, channels_last);
  const MatrixSpan to = matrix_of(k);
  run(network, images.shape, images.num_images, 1, options,
      [&](const Program& program, const ComputeOptions& compute) {
        kernel_diagonal(program, images, to, compute);
      });
}

void jacobian(const SharedNetwork& network, const ReadOnlyArray& x,
              const std::optional<ReadOnlyArray>& z, const WritableArray& jacobian,
              const std::optional<WritableArray>& k, bool channels_last,
              const PlainOptions& options) {
  const Images images(x, z, channels_last);
  const CubeSpan to = cube_of(jacobian);
  const MatrixSpan k_to = k ? matrix_of(*k) : MatrixSpan{};
  run(network, images.x.shape, images.num_pairs(), jacobian_passes(network), options,
      [&](const Program& program, const ComputeOptions& compute) {
        images.z ? kernel_jacobian(program, images.x, *images.z, to, k_to, compute)
                 : kernel_jacobian(program, images.x, to, k_to, compute);
      });
}

void diagonal_jacobian(const SharedNetwork& network, const ReadOnlyArray& x,
                       const WritableArray& jacobian, const std::optional<WritableArray>& k,
                       bool channels_last, const PlainOptions& options) {
  const ImageView images = images_of(x, channels_last);
  const CubeSpan to = cube_of(jacobian);
  const MatrixSpan k_to = k ? matrix_of(*k) : MatrixSpan{};
  run(network, images.shape, images.num_images, jacobian_passes(network), options,
      [&](const Program& program, const ComputeOptions& compute) {
        kernel_diagonal_jacobian(program, images, to, k_to, compute);
      });
}

std::vector<double> gradient(const SharedNetwork& network, const ReadOnlyArray& x,
                             const std::optional<ReadOnlyArray>& z, const nb::object& given,
                             bool channels_last, const PlainOptions& options) {
  const Images images(x, z, channels_last);
  std::vector<ReadOnlyArray> arrays;
  const auto upstream = caller_upstream(given, images.x.num_images, images.num_columns(), arrays);
  std::vector<double> result;
  run(network, images.x.shape, images.num_pairs(), kGradientPasses, options,
      [&](const Program& program, const ComputeOptions& compute) {
        ArraySource rows = ArraySource::view(images.x);
        std::optional<ArraySource> columns;
        if (images.z) columns.emplace(ArraySource::view(*images.z));
        result = kernel_gradient(program, rows, columns ? &*columns : nullptr, *upstream, compute)
                     .gradient;
      });
  return result;
}

/// (name, is a logit, value, trainable, places)
using PlainParameter = std::tuple<std::string, bool, double, bool, std::vector<std::string>>;

std::vector<PlainParameter> parameters(const SharedNetwork& network) {
  std::vector<PlainParameter> result;
  try {
    for (ListedParameter& p : list_parameters(network.network()))
      result.emplace_back(std::move(p.name), p.kind == ParameterKind::kLogit, p.value, p.trainable,
                          std::move(p.places));
  } catch (const NetworkError& error) {
    throw in_file(network.origin(), error);
  }
  return result;
}

}  // namespace

void bind_network(nb::module_& module) {
  nb::class_<SharedNetwork>(module, "Network")
      .def_static("from_json",
                  [](const std::string& text, const std::string& origin) {
                    return new SharedNetwork(read_network(text, origin), origin);
                  })
      .def_static("load",
                  [](const std::string& path_or_preset) {
                    return new SharedNetwork(load_network(path_or_preset), path_or_preset);
                  })
      .def("to_json", [](const SharedNetwork& self) { return to_json(self.network()); })
      .def("parameters", &parameters)
      .def("with_values",
           [](const SharedNetwork& self, const std::vector<double>& values) {
             return new SharedNetwork(with_parameter_values(self.network(), values), self.origin());
           })
      .def("check",
           [](const SharedNetwork& self, Index channels, Index height, Index width) {
             self.program({.channels = channels, .height = height, .width = width});
           })
      .def("kernel", &kernel, nb::arg("x"), nb::arg("z").none(), nb::arg("k"),
           nb::arg("channels_last"), nb::arg("options"))
      .def("diagonal", &diagonal)
      .def("gradient", &gradient, nb::arg("x"), nb::arg("z").none(), nb::arg("upstream"),
           nb::arg("channels_last"), nb::arg("options"))
      .def("jacobian", &jacobian, nb::arg("x"), nb::arg("z").none(), nb::arg("jacobian"),
           nb::arg("k").none(), nb::arg("channels_last"), nb::arg("options"))
      .def("diagonal_jacobian", &diagonal_jacobian, nb::arg("x"), nb::arg("jacobian"),
           nb::arg("k").none(), nb::arg("channels_last"), nb::arg("options"));
}

}  // namespace gramtile::python
