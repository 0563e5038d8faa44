#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <vector>

#include "engine/core/errors.hpp"
#include "io/data/source_spec.hpp"

namespace gramtile::data_source_spec_test {
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

using Ranges = std::vector<Range>;

Ranges resolved(const char* text, Index num_images) {
  return resolve_ranges(parse_source_spec(text), num_images);
}

TEST_CASE("a plain path is a source without dataset or range") {
  const SourceSpec spec = parse_source_spec("some/folder");
  CHECK(spec.text == "some/folder");
  CHECK(spec.path == "some/folder");
  CHECK(spec.dataset.empty());
  CHECK(spec.takes_everything());
}

TEST_CASE("dataset and range are split off the path") {
  const SourceSpec spec = parse_source_spec("dir/a.h5:/group/X#10:20");
  CHECK(spec.path == "dir/a.h5");
  CHECK(spec.dataset == "/group/X");
  REQUIRE(spec.ranges.size() == 1);
  CHECK(spec.ranges[0].start == 10);
  CHECK(spec.ranges[0].stop == 20);
}

TEST_CASE("either bound of a range can be left out") {
  CHECK(resolved("a.npy#:5", 9) == Ranges{{0, 5}});
  CHECK(resolved("a.npy#5:", 9) == Ranges{{5, 9}});
  CHECK(resolved("a.npy#:", 9) == Ranges{{0, 9}});
  CHECK(resolved("a.npy", 9) == Ranges{{0, 9}});
}

TEST_CASE("several ranges are taken in the order in which they are written") {
  CHECK(resolved("a.npy#7:,0:2,3:4", 9) == Ranges{{7, 9}, {0, 2}, {3, 4}});
  CHECK(resolved("a.npy#0:2,1:3", 9) == Ranges{{0, 2}, {1, 3}});
  CHECK(mentions(misuse([] { parse_source_spec("a#0:2,5:5"); }), "5:5 is empty"));
  for (const char* const text : {"a#0:2,", "a#,0:2", "a#0:2,,3:4", "a#0:2;3:4", "a#0:2,3"}) {
    CAPTURE(text);
    CHECK(mentions(misuse([&] { parse_source_spec(text); }), "START:STOP"));
  }
}

TEST_CASE("an index list is a source of its own behind '#@'") {
  const SourceSpec spec = parse_source_spec("a.h5:/X#@lists/split.npz:/train");
  CHECK(spec.path == "a.h5");
  CHECK(spec.dataset == "/X");
  CHECK(spec.index_file == "lists/split.npz:/train");
  CHECK(!spec.takes_everything());
  CHECK(mentions(misuse([] { parse_source_spec("a#@"); }), "no index list"));
}

TEST_CASE("labels behind '#' are whole numbers") {
  CHECK(parse_source_spec("a#labels=3").labels == std::vector<std::int64_t>{3});
  CHECK(parse_source_spec("a#labels=7,-1,0").labels == std::vector<std::int64_t>{7, -1, 0});
  for (const char* const text : {"a#labels=", "a#labels=1,", "a#labels=cat", "a#labels=1.5",
                                 "a#labels=99999999999999999999", "a#labels=0:2"}) {
    CAPTURE(text);
    CHECK(mentions(misuse([&] { parse_source_spec(text); }), "not a whole number"));
  }
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
  CHECK(mentions(misuse([] { resolved("a#0:10", 9); }), "9 images"));
  CHECK(mentions(misuse([] { resolved("a#9:", 9); }), "9 images"));
  CHECK(mentions(misuse([] { resolved("a#0:5,8:10", 9); }), "9 images"));
}

}  // namespace
}  // namespace gramtile::data_source_spec_test
