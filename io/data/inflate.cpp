#include "io/data/inflate.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <new>
#include <utility>
#include <vector>

#include "engine/core/errors.hpp"
#include "io/data/bad_data.hpp"
#include "io/data/temporary_file.hpp"

namespace gramtile {
namespace {

constexpr std::size_t kInputBytes = std::size_t{1} << 16;
constexpr std::size_t kOutputBytes = std::size_t{1} << 18;

void check_ratio(const ByteSource& input, const UnpackRequest& request) {
  if (request.size / kMaxDeflateRatio <= input.size()) return;
  refuse_data(request.name, 0,
              fmt::format("contents of at most {} bytes ({} compressed ones hold no more)",
                          input.size() * kMaxDeflateRatio, input.size()),
              fmt::format("{} declared", request.size));
}

// Hands the contents to `sink` piece by piece and checks that there are exactly request.size bytes.
template <typename Sink>
void unpack_pieces(const SharedBytes& input, const UnpackRequest& request, Sink sink) {
  InflateStream stream(input, request.compression);
  std::vector<std::byte> piece(kOutputBytes);
  std::uint64_t done = 0;
  uLong crc = ::crc32(0, nullptr, 0);
  while (done < request.size) {
    const auto want =
        static_cast<std::size_t>(std::min<std::uint64_t>(piece.size(), request.size - done));
    const std::span<std::byte> got =
        std::span(piece).first(stream.read(std::span(piece).first(want)));
    crc = ::crc32(crc, reinterpret_cast<const Bytef*>(got.data()), static_cast<uInt>(got.size()));
    sink(done, std::span<const std::byte>(got));
    done += got.size();
    if (got.size() < want) {
      refuse_data(request.name, done, fmt::format("{} bytes of contents", request.size),
                  fmt::format("{} in the compressed stream", done));
    }
  }
  if (stream.read(std::span(piece).first(1)) != 0) {
    refuse_data(request.name, request.size, fmt::format("{} bytes of contents", request.size),
                "more in the compressed stream");
  }
  if (request.crc && crc != *request.crc) {
    refuse_data(request.name, 0, fmt::format("CRC-32 {:08x}", *request.crc),
                fmt::format("{:08x}", crc));
  }
}

}  // namespace

struct InflateStream::State {
  SharedBytes input;
  z_stream z{};
  bool initialised = false;
  bool at_end = false;
  bool is_gzip = false;
  std::uint64_t taken = 0;  // bytes of `input` that are in `buffer` or behind it
  std::array<std::byte, kInputBytes> buffer{};

  ~State() {
    if (initialised) ::inflateEnd(&z);
  }

  bool refill() {
    const auto count =
        static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), input->size() - taken));
    input->read(taken, std::span(buffer).first(count));
    taken += count;
    z.next_in = reinterpret_cast<Bytef*>(buffer.data());
    z.avail_in = static_cast<uInt>(count);
    return count > 0;
  }

  std::uint64_t position() const { return taken - z.avail_in; }

  // The end of one gzip member or of the deflate stream: nothing may follow but a further member.
  void finish_member() {
    if (z.avail_in == 0 && !refill()) {
      at_end = true;
    } else if (is_gzip) {
      ::inflateReset(&z);
    } else {
      refuse_data(input->name(), position(), "the end of the compressed data",
                  fmt::format("{} more bytes", input->size() - position()));
    }
  }

  // One turn of zlib.
  void step() {
    if (z.avail_in == 0 && !refill()) {
      refuse_data(input->name(), position(), "more compressed data", "the end");
    }
    const int code = ::inflate(&z, Z_NO_FLUSH);
    if (code == Z_STREAM_END) return finish_member();
    if (code == Z_OK || code == Z_BUF_ERROR) return;
    if (code == Z_MEM_ERROR) throw std::bad_alloc();
    refuse_data(input->name(), position(), "valid compressed data",
                z.msg != nullptr ? z.msg : "a preset dictionary");
  }
};

InflateStream::InflateStream(SharedBytes input, Compression compression)
    : state_(std::make_unique<State>()) {
  state_->input = std::move(input);
  state_->is_gzip = compression == Compression::kGzip;
  // Window bits: 15 with zlib's wrapper, + 16 with that of gzip, negative with none.
  const int window = compression == Compression::kGzip   ? 15 + 16
                     : compression == Compression::kZlib ? 15
                                                         : -15;
  if (::inflateInit2(&state_->z, window) != Z_OK) throw std::bad_alloc();
  state_->initialised = true;
}

InflateStream::~InflateStream() = default;

std::uint64_t InflateStream::offset() const { return state_->position(); }

std::size_t InflateStream::read(std::span<std::byte> out) {
  State& state = *state_;
  state.z.next_out = reinterpret_cast<Bytef*>(out.data());
  state.z.avail_out = static_cast<uInt>(out.size());
  while (state.z.avail_out > 0 && !state.at_end) state.step();
  return out.size() - state.z.avail_out;
}

SharedBytes unpack(const SharedBytes& input, const UnpackRequest& request) {
  check_ratio(*input, request);
  if (request.size <= request.in_memory_bytes) {
    std::vector<std::byte> contents(static_cast<std::size_t>(request.size));
    unpack_pieces(input, request, [&](std::uint64_t at, std::span<const std::byte> piece) {
      std::copy(piece.begin(), piece.end(), contents.begin() + static_cast<std::ptrdiff_t>(at));
    });
    return from_memory(std::move(contents), request.name);
  }
  TemporaryFile file(request.size);
  unpack_pieces(input, request,
                [&](std::uint64_t at, std::span<const std::byte> piece) { file.write(at, piece); });
  return std::move(file).into_source(request.name);
}

}  // namespace gramtile
