// Memory of large arrays: zeros, aligned, and given back.
#include "engine/core/aligned_buffer.hpp"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <stop_token>
#include <thread>
#include <vector>

#include "engine/core/kept_buffers.hpp"

namespace gramtile::aligned_buffer_test {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

TEST_CASE("a buffer is zeros at an aligned address, on both sides of every limit of its size") {
  for (const std::size_t limit : {std::size_t{128}, kMiB, 4 * kMiB, 6 * kMiB}) {
    for (const std::size_t size : {limit - 1, limit, limit + 1}) {
      AlignedBuffer<char> buffer(size);
      CHECK(reinterpret_cast<std::uintptr_t>(buffer.data()) % 128 == 0);
      CHECK(std::all_of(buffer.data(), buffer.data() + size, [](char c) { return c == 0; }));
      std::fill_n(buffer.data(), size, char{1});
      AlignedBuffer<char> moved = std::move(buffer);
      CHECK(moved.size() == size);
      CHECK(moved[size - 1] == 1);
      moved = AlignedBuffer<char>(size);  // perhaps in the same place
      CHECK(moved[0] == 0);
    }
  }
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
/// Resident memory of this process [bytes].
std::size_t resident_bytes() {
  std::FILE* const file = std::fopen("/proc/self/statm", "r");
  unsigned long whole = 0, resident = 0;
  REQUIRE(file != nullptr);
  REQUIRE(std::fscanf(file, "%lu %lu", &whole, &resident) == 2);
  std::fclose(file);
  return resident * 4096;
}

TEST_CASE("what large buffers held goes back to the system, whatever else was allocated since") {
  const std::size_t before = resident_bytes();
  std::vector<AlignedBuffer<char>> between;
  std::size_t peak = 0;
  for (int turn = 0; turn < 8; ++turn) {
    std::vector<AlignedBuffer<char>> held;
    for (const std::size_t size : {2 * kMiB, kMiB, 3 * kMiB, 5 * kMiB}) {
      held.emplace_back(size + static_cast<std::size_t>(turn) * 65536);
      std::fill_n(held.back().data(), held.back().size(), char{1});
      between.emplace_back(1000);
    }
    peak = std::max(peak, resident_bytes());
  }
  CHECK(peak >= before + 11 * kMiB);
  CHECK(peak <= before + 14 * kMiB);
  CHECK(resident_bytes() <= before + 2 * kMiB);
}

TEST_CASE("buffers are kept up to the limit, for sizes that are alike, and come back as zeros") {
  const std::size_t before = resident_bytes();
  const auto use = [](std::size_t size) {
    AlignedBuffer<char> buffer(size);
    CHECK(std::all_of(buffer.data(), buffer.data() + size, [](char c) { return c == 0; }));
    std::fill_n(buffer.data(), size, char{1});
    return buffer.data();
  };
  keep_freed_buffers(8 * kMiB);
  const char* const first = use(5 * kMiB);
  CHECK(resident_bytes() >= before + 4 * kMiB);
  CHECK(use(5 * kMiB) == first);
  use(2 * kMiB);
  CHECK(use(5 * kMiB) == first);
  use(9 * kMiB);  // past the limit: not kept, and nothing else is given up
  CHECK(use(5 * kMiB) == first);
  use(4 * kMiB);  // the oldest go, until there is room
  CHECK(resident_bytes() <= before + 9 * kMiB);
  for (std::size_t turn = 0; turn < 100; ++turn) use(kMiB + turn * 4096);
  CHECK(resident_bytes() <= before + 9 * kMiB);
  CHECK(bytes_in_system_buffers() == 0);
  keep_freed_buffers(0);
  CHECK(resident_bytes() <= before + kMiB);
}

TEST_CASE("a child can take buffers, whatever another thread did with them at the fork") {
  keep_freed_buffers(8 * kMiB);
  std::jthread other([](const std::stop_token& stop) {
    while (!stop.stop_requested()) AlignedBuffer<char>(3 * kMiB)[0] = 1;
  });
  for (int turn = 0; turn < 200; ++turn) {
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      alarm(10);  // ends a child that hangs
      AlignedBuffer<char>(3 * kMiB)[0] = 1;
      _exit(0);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    REQUIRE(status == 0);
  }
  other.request_stop();
  other.join();
  keep_freed_buffers(0);
}
#endif

}  // namespace
}  // namespace gramtile::aligned_buffer_test
