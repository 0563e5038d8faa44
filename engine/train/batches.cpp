#include "engine/train/batches.hpp"

#include <algorithm>
#include <numeric>
#include <random>

namespace gramtile {
namespace {

/// 0 … bound − 1, each as likely: draws beyond the last whole multiple of the bound are drawn
/// again.
std::uint64_t below(std::mt19937_64& random, std::uint64_t bound) {
  const std::uint64_t rest = (UINT64_MAX % bound + 1) % bound;
  std::uint64_t value = random();
  while (value > UINT64_MAX - rest) value = random();
  return value % bound;
}

}  // namespace

std::vector<Index> draw_examples(std::uint64_t seed, Index step, std::uint64_t stream, Index size,
                                 Index count) {
  const auto low = [](std::uint64_t value) { return static_cast<std::uint32_t>(value); };
  const auto number = static_cast<std::uint64_t>(step);
  std::seed_seq words{low(seed), low(seed >> 32), low(number), low(number >> 32), low(stream)};
  std::mt19937_64 random(words);
  std::vector<Index> all(as_size(size));
  std::iota(all.begin(), all.end(), 0);
  for (Index i = 0; i < count; ++i) {
    const auto other = below(random, static_cast<std::uint64_t>(size - i));
    std::swap(all[as_size(i)], all[as_size(i) + other]);
  }
  all.resize(as_size(count));
  std::ranges::sort(all);
  return all;
}

ArraySource gather_images(BlockSource& images, std::span<const Index> examples) {
  const auto pixels = as_size(images.shape().num_values());
  std::vector<double> values(examples.size() * pixels);
  for (std::size_t i = 0; i < examples.size(); ++i)
    images.read({examples[i], examples[i] + 1}, std::span(values).subspan(i * pixels, pixels));
  return ArraySource(images.shape(), std::move(values));
}

Targets gather_targets(const Targets& targets, std::span<const Index> examples) {
  const auto outputs = as_size(targets.num_outputs);
  Targets result{.values = {}, .num_outputs = targets.num_outputs};
  for (const Index i : examples) {
    const auto row = std::span(targets.values).subspan(as_size(i) * outputs, outputs);
    result.values.insert(result.values.end(), row.begin(), row.end());
  }
  return result;
}

}  // namespace gramtile
