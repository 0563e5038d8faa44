// The front door on raw files, for library_test.py:
//
//   library_call NETWORK float32|float64 first|last N M C H W < pixels and upstream > results
//
// Reads N images and then M images of bytes, channels first or last, and ∂L/∂K [N, M] in float64
// (M = 0: K(x, x), [N, N]). Writes K in its type, then ∂L/∂θ in float64.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "engine/gramtile.hpp"
#include "io/network/network_json.hpp"

namespace {

using gramtile::Index;

template <class T>
std::vector<T> read(Index size) {
  std::vector<T> values(static_cast<std::size_t>(size));
  if (std::fread(values.data(), sizeof(T), values.size(), stdin) != values.size()) std::exit(2);
  return values;
}

template <class T>
void write(const std::vector<T>& values) {
  if (std::fwrite(values.data(), sizeof(T), values.size(), stdout) != values.size()) std::exit(2);
}

template <class T>
void call(const gramtile::Network& network, bool last, Index n, Index m,
          gramtile::ImageShape shape) {
  const auto pixels = read<std::uint8_t>((n + m) * shape.num_values());
  const auto images = [&](Index first, Index count) {
    const std::uint8_t* const data = pixels.data() + first * shape.num_values();
    return last ? gramtile::channels_last(data, count, shape)
                : gramtile::channels_first(data, count, shape);
  };
  const Index num_columns = m > 0 ? m : n;
  const auto values = read<double>(n * num_columns);
  const auto upstream = gramtile::matrix_view(values.data(), n, num_columns);
  const gramtile::Program program = gramtile::lower(network, shape);
  const gramtile::ComputeOptions options{.data_type = gramtile::data_type_of<T>()};
  std::vector<T> k(values.size());
  const auto span = gramtile::matrix_span(k.data(), n, num_columns);
  if (m > 0) {
    gramtile::kernel_matrix(program, images(0, n), images(n, m), span, options);
    write(k);
    write(
        gramtile::kernel_gradient(program, images(0, n), images(n, m), upstream, options).gradient);
  } else {
    gramtile::kernel_matrix(program, images(0, n), span, options);
    write(k);
    write(gramtile::kernel_gradient(program, images(0, n), upstream, options).gradient);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 9) return 2;
  const auto number = [&](int i) { return static_cast<Index>(std::atoll(argv[i])); };
  const gramtile::Network network = gramtile::load_network(argv[1]);
  const gramtile::ImageShape shape{number(6), number(7), number(8)};
  const bool last = std::string(argv[3]) == "last";
  if (std::string(argv[2]) == "float32") {
    call<float>(network, last, number(4), number(5), shape);
  } else {
    call<double>(network, last, number(4), number(5), shape);
  }
  return 0;
}
