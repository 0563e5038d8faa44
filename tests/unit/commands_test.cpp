// The commands' shared part: quantities, exit codes, shards, progress, the way a command ends.
#include <doctest/doctest.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "apps/common/command.hpp"
#include "apps/common/exit_codes.hpp"
#include "apps/common/options.hpp"
#include "apps/common/progress.hpp"
#include "apps/common/units.hpp"
#include "io/job/memory_budget.hpp"

namespace gramtile::apps::commands_test {
namespace {

TEST_CASE("nothing from a file reaches the terminal as anything but visible characters") {
  CHECK(for_terminal("Kxx × 3: plain, ∂L/∂θ, 漢字, 😀") == "Kxx × 3: plain, ∂L/∂θ, 漢字, 😀");
  CHECK(for_terminal("a\x1b]0;title\x07\x1b[2J") == "a\\x1b]0;title\\x07\\x1b[2J");
  CHECK(for_terminal("two\nlines\r\x7f") == "two lines\\x0d\\x7f");
  CHECK(for_terminal("\xc2\x9b"
                     "2J") == "\\xc2\\x9b2J");  // C1
  CHECK(for_terminal("\xe2\x80\xae"
                     "txt.exe") == "\\xe2\\x80\\xaetxt.exe");  // right to left
  CHECK(for_terminal("\xff\xc3") == "\\xff\\xc3");             // no UTF-8
  CHECK(for_terminal("\xe0\x80\x9b") == "\\xe0\\x80\\x9b");    // overlong
  // No byte below space and no C1 comes through, whatever stands around it.
  for (int byte = 0; byte < 256; ++byte) {
    const std::string shown = for_terminal(std::string("é") + static_cast<char>(byte) + "z");
    CAPTURE(byte);
    CHECK(std::ranges::none_of(shown, [](char c) { return (c >= 0 && c < 0x20) || c == 0x7f; }));
  }
}

TEST_CASE("memory sizes are read in binary and decimal units") {
  CHECK(parse_bytes("4096") == 4096);
  CHECK(parse_bytes("2GiB") == std::size_t{2} << 30);
  CHECK(parse_bytes("500MB") == 500'000'000);
  CHECK(parse_bytes("1.5 kb") == 1500);
  CHECK(parse_bytes("3k") == 3072);
  CHECK(parse_bytes("1TiB") == std::size_t{1} << 40);
}

TEST_CASE("what is not a memory size is refused") {
  for (const char* const text : {"", "GiB", "-1", "0", "2XB", "1e3", "nan", "inf", "1 2", "9e99GB",
                                 "99999999999999999999", "0.1"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(parse_bytes(text), Error);
  }
}

TEST_CASE("quantities are printed for people") {
  CHECK(format_bytes(917) == "917 B");
  CHECK(format_bytes(1536) == "1.5 KiB");
  CHECK(format_bytes(std::uint64_t{3} << 30) == "3.0 GiB");
  CHECK(format_count(7) == "7");
  CHECK(format_count(1234567) == "1,234,567");
  CHECK(format_count(-1234) == "-1,234");
  CHECK(format_seconds(0.34) == "0.3 s");
  CHECK(format_seconds(200) == "3 min 20 s");
  CHECK(format_seconds(7500) == "2 h 05 min");
  CHECK(format_seconds(90000) == "1 d 1 h");
}

TEST_CASE("a shard is r/R with r below R") {
  CHECK(parse_shard("0/4").count == 4);
  CHECK(parse_shard("3/4").index == 3);
  for (const char* const text :
       {"", "1", "4/4", "-1/4", "0/0", "1/", "/2", "1/2x", "a/b", "0/2000000"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(parse_shard(text), Error);
  }
}

// A progress report on a clock of the test's own.
struct Recorded {
  double now = 0;
  std::vector<std::string> writes;

  Progress start(ProgressStyle style) {
    return Progress(
        style, 1000, 0, [this] { return now; },
        [this](std::string_view text) { writes.emplace_back(text); });
  }
};

TEST_CASE("progress is silent for two seconds, then a line every ten") {
  Recorded recorded;
  {
    Progress progress = recorded.start(ProgressStyle::kLines);
    for (int i = 0; i < 25; ++i) {
      recorded.now += 1;
      progress.advance(10);
    }
  }
  REQUIRE(recorded.writes.size() == 3);  // after 2, 12 and 22 s
  CHECK(recorded.writes[0] == "  2.0 %  10 pairs/s  1 min 38 s left\n");
  CHECK(recorded.writes[2] == " 22.0 %  10 pairs/s  1 min 18 s left\n");
}

TEST_CASE("progress on a terminal rewrites one line and takes it away at the end") {
  Recorded recorded;
  {
    Progress progress = recorded.start(ProgressStyle::kTerminal);
    recorded.now = 3;
    progress.advance(30);
  }
  REQUIRE(recorded.writes.size() == 2);
  CHECK(recorded.writes[0] == "\r  3.0 %  10 pairs/s  1 min 37 s left");
  CHECK(recorded.writes[1] == "\r" + std::string(36, ' ') + "\r");
}

TEST_CASE("progress ends with 100 %, though the total was an estimate") {
  Recorded recorded;
  Progress progress = recorded.start(ProgressStyle::kLines);
  recorded.now = 4;
  progress.advance(1200);
  REQUIRE(recorded.writes.size() == 1);
  CHECK(recorded.writes[0].starts_with("100.0 %  300 pairs/s  0.0 s left"));
}

TEST_CASE("quiet progress writes nothing") {
  Recorded recorded;
  Progress progress = recorded.start(ProgressStyle::kNone);
  recorded.now = 100;
  progress.advance(500);
  CHECK(recorded.writes.empty());
}

TEST_CASE("the command that continues is quoted for a shell") {
  std::vector<std::string> words{"kernel-build", "--train", "my images.npy#0:5", "--overwrite",
                                 "it's"};
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  const int argc = static_cast<int>(argv.size());
  CHECK(command_line(argc, argv.data(), "--resume", "--overwrite") ==
        "kernel-build --train 'my images.npy#0:5' 'it'\\''s' --resume");
  CHECK(command_line(argc, argv.data(), "--train") ==
        "kernel-build --train 'my images.npy#0:5' --overwrite 'it'\\''s'");
}

TEST_CASE("the stored command leaves out what cannot change the result") {
  std::vector<std::string> words{"/usr/bin/kernel-build",
                                 "--network",
                                 "net.json",
                                 "--out",
                                 "K.h5",
                                 "--threads=3",
                                 "--resume",
                                 "--dtype",
                                 "float64",
                                 "--shard",
                                 "0/4",
                                 "--memory",
                                 "2GiB",
                                 "--quiet"};
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  CHECK(stored_command(static_cast<int>(argv.size()), argv.data()) ==
        "kernel-build --network net.json --dtype float64");
}

TEST_CASE("the engine gets at least three quarters of the memory, and the shares add up") {
  for (const std::size_t memory :
       {std::size_t{1} << 20, std::size_t{1} << 30, std::size_t{1} << 40}) {
    const MemoryBudget budget = share_memory(memory);
    CHECK(budget.engine_bytes >= memory / 4 * 3);
    CHECK(budget.engine_bytes + budget.queue_bytes + 3 * budget.unpack_bytes <= memory);
  }
}

TEST_CASE("the least memory is the first that fits, to the next MiB") {
  const std::size_t needed = 100'000'000;
  const auto fits = [&](std::size_t engine_bytes) { return engine_bytes >= needed; };
  const std::size_t least = least_memory(fits);
  CHECK(fits(share_memory(least).engine_bytes));
  CHECK_FALSE(fits(share_memory(least - (std::size_t{1} << 20)).engine_bytes));
}

TEST_CASE("a command ends with the code of its error's kind") {
  const auto throws_data = [](int, char**) -> int { throw DataError("x.npy", "is empty"); };
  const auto throws_bug = [](int, char**) -> int { throw std::logic_error("impossible"); };
  CHECK(run_command("kernel-test", 0, nullptr, throws_data) == 66);
  CHECK(run_command("kernel-test", 0, nullptr, throws_bug) == kExitBug);
}

TEST_CASE("every kind of error has the exit code of the table") {
  CHECK(exit_code(ErrorKind::kOther) == 1);
  CHECK(exit_code(ErrorKind::kUsage) == 2);
  CHECK(exit_code(ErrorKind::kIo) == 5);
  CHECK(exit_code(ErrorKind::kLocked) == 11);
  CHECK(exit_code(ErrorKind::kResumeRefused) == 12);
  CHECK(exit_code(ErrorKind::kPartMissing) == 13);
  CHECK(exit_code(ErrorKind::kUnfinishedRun) == 14);
  CHECK(exit_code(ErrorKind::kNoSpace) == 28);
  CHECK(exit_code(ErrorKind::kNetwork) == 65);
  CHECK(exit_code(ErrorKind::kData) == 66);
  CHECK(exit_code(ErrorKind::kCannotCreate) == 73);
  CHECK(exit_code(ErrorKind::kInterrupted) == 130);
}

}  // namespace
}  // namespace gramtile::apps::commands_test
