#include "io/run/spec/content_hash.hpp"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <new>
#include <vector>

#include "engine/core/errors.hpp"

namespace gramtile {

std::uint64_t hash64(std::span<const std::byte> bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

struct HashState {
  XXH3_state_t* xxh = XXH3_createState();

  HashState() {
    if (xxh == nullptr) throw std::bad_alloc();
  }
  HashState(const HashState&) = delete;
  ~HashState() { XXH3_freeState(xxh); }
};

struct Hasher64::State : HashState {};

Hasher64::Hasher64() : state_(std::make_unique<State>()) { XXH3_64bits_reset(state_->xxh); }
Hasher64::~Hasher64() = default;

void Hasher64::add(std::span<const std::byte> bytes) {
  XXH3_64bits_update(state_->xxh, bytes.data(), bytes.size());
}

std::uint64_t Hasher64::value() const { return XXH3_64bits_digest(state_->xxh); }

struct ContentHasher::State : HashState {
  State() { XXH3_128bits_reset(xxh); }
};

ContentHasher::ContentHasher() : state_(std::make_unique<State>()) {}
ContentHasher::~ContentHasher() = default;
ContentHasher::ContentHasher(ContentHasher&&) noexcept = default;

void ContentHasher::add(std::span<const std::byte> bytes) {
  XXH3_128bits_update(state_->xxh, bytes.data(), bytes.size());
}

void ContentHasher::add(std::string_view text) {
  const std::uint64_t size = text.size();  // so that "a", "bc" and "ab", "c" differ
  add(std::as_bytes(std::span(&size, 1)));
  add(std::as_bytes(std::span(text.data(), text.size())));
}

std::string ContentHasher::digest() const {
  const XXH128_hash_t hash = XXH3_128bits_digest(state_->xxh);
  std::array<char, 33> text{};
  std::snprintf(text.data(), text.size(), "%016llx%016llx",
                static_cast<unsigned long long>(hash.high64),
                static_cast<unsigned long long>(hash.low64));
  return text.data();
}

SourceContents read_contents(BlockSource& source, const std::stop_token& abandon) {
  constexpr Index kBlockValues = 1 << 20;  // 8 MiB of doubles
  const ImageShape shape = source.shape();
  const std::array<Index, 4> header{source.num_examples(), shape.channels, shape.height,
                                    shape.width};
  ContentHasher hasher;
  hasher.add(std::as_bytes(std::span(header)));
  const Index step = std::max<Index>(1, kBlockValues / std::max<Index>(1, shape.num_values()));
  SourceContents contents;
  std::vector<double> pixels;
  for (Index start = 0; start < source.num_examples(); start += step) {
    if (abandon.stop_requested()) throw Error(ErrorKind::kInterrupted, "interrupted");
    const Range range{start, std::min(start + step, source.num_examples())};
    pixels.resize(static_cast<std::size_t>(range.size() * shape.num_values()));
    source.read(range, pixels);
    hasher.add(std::as_bytes(std::span(pixels)));
    contents.nonnegative = contents.nonnegative && std::none_of(pixels.begin(), pixels.end(),
                                                                [](double x) { return x < 0; });
  }
  contents.hash = hasher.digest();
  return contents;
}

std::string label_hash(std::span<const std::int64_t> labels) {
  ContentHasher hasher;
  hasher.add(std::as_bytes(labels));
  return hasher.digest();
}

}  // namespace gramtile
