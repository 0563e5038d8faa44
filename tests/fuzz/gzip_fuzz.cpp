// IDX in gzip. An even first byte: the rest is the gzip file. An odd one: the rest is packed first,
// so that mutations reach behind the checksum.
#include <zlib.h>

#include <cstdlib>
#include <optional>

#include "io/data/idx.hpp"
#include "tests/fuzz/image_target.hpp"

namespace {

std::vector<std::uint8_t> gzipped(std::span<const std::uint8_t> input) {
  z_stream z{};
  if (deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) std::abort();
  std::vector<std::uint8_t> packed(deflateBound(&z, input.size()));
  z.next_in = const_cast<Bytef*>(input.data());
  z.avail_in = static_cast<uInt>(input.size());
  z.next_out = packed.data();
  z.avail_out = static_cast<uInt>(packed.size());
  if (deflate(&z, Z_FINISH) != Z_STREAM_END) std::abort();
  packed.resize(z.total_out);
  deflateEnd(&z);
  return packed;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gramtile;
  const auto open = [](const SharedBytes& bytes) {
    return open_raw_images(parse_idx_gzip(bytes), std::nullopt);
  };
  if (size == 0) return 0;
  if (data[0] % 2 == 0) return fuzz::run(data + 1, size - 1, open);
  const std::vector<std::uint8_t> packed = gzipped({data + 1, size - 1});
  return fuzz::run(packed.data(), packed.size(), open);
}
