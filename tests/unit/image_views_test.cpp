// Images in the caller's memory, of any type, layout and strides, through the front door.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "engine/gramtile.hpp"
#include "tests/support/small_program.hpp"

namespace gramtile::image_views_test {
namespace {

constexpr ImageShape kShape = test::kSmallShape;
using test::small_program;

/// Images [N, C, H, W] of bytes, and the same in every layout and type that can hold them.
struct ByteImages {
  static constexpr Index kNum = 5;
  std::vector<std::uint8_t> first, last;
  std::vector<float> backwards;  // every axis reversed, every second number used
  std::vector<double> fractions;

  ByteImages() {
    const auto [c, h, w] = kShape;
    const auto size = static_cast<std::size_t>(kNum * kShape.num_values());
    for (std::size_t i = 0; i < size; ++i)
      first.push_back(static_cast<std::uint8_t>((i * 89 + i / 7) % 256));
    last.resize(size);
    for (Index n = 0; n < kNum; ++n) {
      for (Index k = 0; k < c * h * w; ++k) {
        const Index channel = k / (h * w), pixel = k % (h * w);
        last[static_cast<std::size_t>((n * h * w + pixel) * c + channel)] =
            first[static_cast<std::size_t>(n * c * h * w + k)];
      }
    }
    for (const std::uint8_t byte : first) fractions.push_back(byte / 255.0);
    backwards.assign(2 * size, -7);
    // Powers of two times the bytes: the same in float32 as in float64.
    for (std::size_t i = 0; i < size; ++i)
      backwards[2 * (size - 1 - i)] = static_cast<float>(first[i]) / 256;
  }

  ImageView backwards_view() const {
    ImageView view = channels_first(backwards.data(), kNum, kShape);
    view.data = backwards.data() + backwards.size() - 2;
    for (Index& stride : view.strides) stride *= -2;
    return view;
  }
};

std::vector<double> pixels_of(const ImageView& view) {
  ArraySource source = ArraySource::view(view);
  std::vector<double> pixels(static_cast<std::size_t>(source.num_examples() * kShape.num_values()));
  source.read({0, source.num_examples()}, pixels);
  return pixels;
}

TEST_CASE("images of any type, layout and strides are read as the same pixels") {
  const ByteImages images;
  const std::vector<double> pixels = pixels_of(channels_first(images.first.data(), 5, kShape));
  CHECK(pixels == images.fractions);
  CHECK(pixels_of(channels_last(images.last.data(), 5, kShape)) == pixels);
  CHECK(pixels_of(channels_first(images.fractions.data(), 5, kShape)) == pixels);
  const std::vector<double> backwards = pixels_of(images.backwards_view());
  for (std::size_t i = 0; i < pixels.size(); ++i) {
    CAPTURE(i);
    REQUIRE(backwards[i] == images.first[i] / 256.0);
  }
  // An image repeated by a stride of 0, at an odd address.
  std::vector<std::byte> odd(1 + sizeof(double) * static_cast<std::size_t>(kShape.num_values()));
  std::memcpy(odd.data() + 1, images.fractions.data(), odd.size() - 1);
  ImageView repeated = channels_first(images.fractions.data(), 3, kShape);
  repeated.data = odd.data() + 1;
  repeated.strides[0] = 0;
  const std::vector<double> three = pixels_of(repeated);
  const Index size = kShape.num_values();
  for (Index i = 0; i < 3 * size; ++i)
    REQUIRE(three[static_cast<std::size_t>(i)] == pixels[static_cast<std::size_t>(i % size)]);
}

/// K(x, x) as written to a matrix with gaps and its columns behind one another; the gaps are
/// checked.
template <class T>
std::vector<T> kernel_in_place(const Program& program, const ImageView& x) {
  const Index n = x.num_images;
  std::vector<T> memory(static_cast<std::size_t>(2 * n * (n + 1)), T(-5));
  MatrixSpan k = matrix_span(memory.data() + 1, n, n);
  k.row_stride = 2 * static_cast<Index>(sizeof(T));
  k.column_stride = (n + 1) * k.row_stride;
  kernel_matrix(program, x, k, {.data_type = data_type_of<T>(), .num_threads = 2});
  std::vector<T> entries;
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < n; ++j)
      entries.push_back(memory[static_cast<std::size_t>(1 + 2 * i + 2 * (n + 1) * j)]);
  CHECK(std::ranges::count(memory, T(-5)) == static_cast<std::ptrdiff_t>(memory.size()) - n * n);
  return entries;
}

TEST_CASE_TEMPLATE("K has the same bits for the same pixels, whatever memory holds them", T, float,
                   double) {
  const Program program = small_program();
  const ByteImages images;
  const auto of = [&](const ImageView& x) { return kernel_in_place<T>(program, x); };
  const std::vector<T> k = of(channels_first(images.first.data(), 5, kShape));
  CHECK(of(channels_last(images.last.data(), 5, kShape)) == k);
  CHECK(of(channels_first(images.fractions.data(), 5, kShape)) == k);
  ArraySource rows(kShape, images.fractions);
  std::vector<T> from_source(k.size());
  kernel_matrix(program, rows, nullptr, matrix_span(from_source.data(), 5, 5),
                {.data_type = data_type_of<T>()});
  CHECK(from_source == k);
}

}  // namespace
}  // namespace gramtile::image_views_test
