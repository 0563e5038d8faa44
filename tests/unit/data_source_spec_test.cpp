#include <doctest/doctest.h>

#include <functional>
#include <string>

#include "engine/core/errors.hpp"
#include "io/data/source_spec.hpp"

namespace gramtile {
namespace {

// The message of the Error(kUsage) that `call` throws.
std::string misuse(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kUsage);
    return error.what();
  }
  FAIL_CHECK("nothing was thrown");
  return "";
}

bool mentions(const std::string& message, const std::string& word) {
  return message.find(word) != std::string::npos;
}

TEST_CASE("a plain path is a source without dataset or range") {
  const SourceSpec spec = parse_source_spec("some/folder");
  CHECK(spec.text == "some/folder");
  CHECK(spec.path == "some/folder");
  CHECK(spec.dataset.empty());
  CHECK(!spec.start);
  CHECK(!spec.stop);
}

TEST_CASE("dataset and range are split off the path") {
  const SourceSpec spec = parse_source_spec("dir/a.h5:/group/X#10:20");
  CHECK(spec.path == "dir/a.h5");
  CHECK(spec.dataset == "/group/X");
  CHECK(spec.start == 10);
  CHECK(spec.stop == 20);
}

TEST_CASE("either bound of a range can be left out") {
  CHECK(resolve_range(parse_source_spec("a.npy#:5"), 9) == Range{0, 5});
  CHECK(resolve_range(parse_source_spec("a.npy#5:"), 9) == Range{5, 9});
  CHECK(resolve_range(parse_source_spec("a.npy#:"), 9) == Range{0, 9});
  CHECK(resolve_range(parse_source_spec("a.npy"), 9) == Range{0, 9});
}

TEST_CASE("a path with '#' is reached by an empty range behind it") {
  CHECK(parse_source_spec("a#1.npy#:").path == "a#1.npy");
}

TEST_CASE("an empty range is refused with its bounds") {
  CHECK(mentions(misuse([] { parse_source_spec("a#5:5"); }), "5:5 is empty"));
  CHECK(mentions(misuse([] { parse_source_spec("a#7:5"); }), "7:5 is empty"));
  CHECK(mentions(misuse([] { parse_source_spec("a#:0"); }), "0:0 is empty"));
}

TEST_CASE("a negative bound is refused as negative") {
  CHECK(mentions(misuse([] { parse_source_spec("a#-3:5"); }), "-3 is negative"));
  CHECK(mentions(misuse([] { parse_source_spec("a#3:-1"); }), "-1 is negative"));
  CHECK(mentions(misuse([] { parse_source_spec("a#-0:1"); }), "negative"));
}

TEST_CASE("a range that is not two whole numbers is refused") {
  for (const char* const text :
       {"a#", "a#5", "a#x:5", "a#1:2:3", "a#1.5:2", "a# 1:2", "a#+1:2", "a#1:2 ", "a#0x1:2"}) {
    CAPTURE(text);
    CHECK(mentions(misuse([&] { parse_source_spec(text); }), "START:STOP"));
  }
}

TEST_CASE("a bound past 2^63 is refused as too large") {
  CHECK(mentions(misuse([] { parse_source_spec("a#0:9223372036854775808"); }), "too large"));
}

TEST_CASE("a source needs a path, and a name behind ':/'") {
  misuse([] { parse_source_spec(""); });
  misuse([] { parse_source_spec("#1:2"); });
  misuse([] { parse_source_spec(":/X"); });
  misuse([] { parse_source_spec("a.h5:/"); });
  misuse([] { parse_source_spec(std::string("a\0b", 3)); });
}

TEST_CASE("a range past the last image is refused with the number of images") {
  CHECK(mentions(misuse([] { resolve_range(parse_source_spec("a#0:10"), 9); }), "9 images"));
  CHECK(mentions(misuse([] { resolve_range(parse_source_spec("a#9:"), 9); }), "9 images"));
}

}  // namespace
}  // namespace gramtile
