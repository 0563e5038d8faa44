// K of bytes as a camera leaves them: in the caller's memory, channels last, without a copy.
#include <cstdint>
#include <engine/gramtile.hpp>
#include <vector>

/// K(x, x) in float32, [N, N], of the images in the left half of every picture [N, H, W, C].
std::vector<float> kernel_of_left_halves(const gramtile::Network& network,
                                         const std::uint8_t* pictures, gramtile::Index num_images,
                                         gramtile::ImageShape picture) {
  gramtile::ImageView images = gramtile::channels_last(pictures, num_images, picture);
  images.shape.width /= 2;  // the strides stay those of whole pictures
  const gramtile::Program program = gramtile::lower(network, images.shape);
  std::vector<float> k(static_cast<std::size_t>(num_images * num_images));
  gramtile::kernel_matrix(program, images, gramtile::matrix_span(k.data(), num_images, num_images));
  return k;
}
