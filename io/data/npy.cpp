#include "io/data/npy.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "io/data/bad_data.hpp"

namespace gramtile {
namespace {

constexpr std::size_t kMaxNpyHeaderBytes = 65536;  // NumPy itself stops at 10,000
constexpr std::size_t kMaxNpyRank = 8;
constexpr std::string_view kNpyMagic("\x93NUMPY", 6);

// The dict literal of the header, read strictly: three keys, each once, in any order.
class HeaderParser {
 public:
  HeaderParser(const std::string& name, std::string_view text, std::uint64_t offset)
      : name_(name), text_(text), offset_(offset) {}

  void parse(RawArray& array) {
    expect('{', "'{' of the header's dict");
    while (!accept('}')) {
      parse_entry(array);
      if (!accept(',') && peek() != '}') fail("',' or '}' in the header's dict");
    }
    skip_spaces();
    if (text_.substr(at_) != "\n") fail("spaces and one newline behind the header's dict");
    if (!has_type_ || !has_order_ || !has_shape_) {
      fail("the keys 'descr', 'fortran_order' and 'shape'");
    }
  }

 private:
  void parse_entry(RawArray& array) {
    const std::size_t key_at = at_;
    const std::string_view key = parse_string("a key in quotes");
    expect(':', "':' behind a key");
    if (key == "descr" && !std::exchange(has_type_, true)) {
      array.type = parse_type();
    } else if (key == "fortran_order" && !std::exchange(has_order_, true)) {
      parse_order();
    } else if (key == "shape" && !std::exchange(has_shape_, true)) {
      skip_spaces();
      array.shape_offset = offset_ + at_;
      array.shape = parse_shape();
    } else {
      at_ = key_at;
      fail("each of 'descr', 'fortran_order' and 'shape' once");
    }
  }

  // '<f4': byte order, kind, size.
  ElementType parse_type() {
    skip_spaces();
    const std::size_t begin = at_;
    if (peek() == '[') fail("a plain number type (a structured array cannot be read)");
    const std::string_view type = parse_string("a type in quotes such as '<f4'");
    at_ = begin;  // where messages point
    if (type.ends_with('O')) fail("numbers (an array of Python objects cannot be read)");
    if (type.starts_with('>')) {
      fail(
          "little-endian numbers (big-endian ones: convert with "
          "x.astype(x.dtype.newbyteorder('<')))");
    }
    const std::string_view plain = type.substr(type.empty() ? 0 : 1);
    constexpr std::string_view kKnown[] = {"u1", "u2", "u4", "u8", "i1", "i2",
                                           "i4", "i8", "f2", "f4", "f8"};
    const bool known = std::find(std::begin(kKnown), std::end(kKnown), plain) != std::end(kKnown);
    if (!known || (type[0] != '<' && !(type[0] == '|' && plain[1] == '1'))) {
      fail("one of '|u1', '<f2', '<f4', '<f8' (or an integer type, for labels)");
    }
    at_ = begin + type.size() + 2;
    return {.kind = plain[0], .size = plain[1] - '0', .big_endian = false};
  }

  void parse_order() {
    skip_spaces();
    const std::string_view rest = text_.substr(at_);
    if (rest.starts_with("True")) {
      fail("C order (Fortran order: convert with numpy.ascontiguousarray)");
    }
    if (!rest.starts_with("False")) fail("True or False");
    at_ += 5;
  }

  std::vector<std::uint64_t> parse_shape() {
    std::vector<std::uint64_t> shape;
    expect('(', "'(' of the shape");
    while (!accept(')')) {
      if (shape.size() == kMaxNpyRank) fail("a rank of at most 8");
      shape.push_back(parse_extent());
      if (!accept(',') && (peek() != ')' || shape.size() == 1)) fail("',' in the shape");
    }
    return shape;
  }

  std::uint64_t parse_extent() {
    skip_spaces();
    std::uint64_t value = 0;
    const char* const end = text_.data() + text_.size();
    const auto [rest, error] = std::from_chars(text_.data() + at_, end, value);
    if (error != std::errc()) fail("an extent of 0 to 2^64 - 1");
    at_ = static_cast<std::size_t>(rest - text_.data());
    return value;
  }

  std::string_view parse_string(const char* what) {
    const char quote = peek();
    if (quote != '\'' && quote != '"') fail(what);
    const std::size_t begin = at_ + 1;
    const std::size_t end = text_.find(quote, begin);
    if (end == std::string_view::npos || end - begin > 64) fail(what);
    at_ = end + 1;
    return text_.substr(begin, end - begin);
  }

  void skip_spaces() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
  }
  char peek() {
    skip_spaces();
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool accept(char c) {
    if (peek() != c || at_ == text_.size()) return false;
    ++at_;
    return true;
  }
  void expect(char c, const char* what) {
    if (!accept(c)) fail(what);
  }
  [[noreturn]] void fail(const std::string& expected) {
    const std::string_view rest = text_.substr(at_);
    refuse_data(name_, offset_ + at_, expected,
                rest.empty() ? "the end of the header" : printable(rest, 24));
  }

  const std::string& name_;
  std::string_view text_;
  std::uint64_t offset_;  // of text_ in the file
  std::size_t at_ = 0;
  bool has_type_ = false, has_order_ = false, has_shape_ = false;
};

struct HeaderPlace {
  std::size_t begin = 0, size = 0;  // of the dict's text [bytes]
};

HeaderPlace find_header(const std::string& name, std::span<const std::byte> head) {
  if (head.size() < kNpyMagic.size() ||
      std::memcmp(head.data(), kNpyMagic.data(), kNpyMagic.size()) != 0) {
    refuse_data(name, 0, "the .npy magic 93 4e 55 4d 50 59",
                hex(head.first(std::min(head.size(), kNpyMagic.size()))));
  }
  const unsigned major = head.size() < 8 ? 0 : std::to_integer<unsigned>(head[6]);
  if (major < 1 || major > 3 || head[7] != std::byte{0}) {
    refuse_data(name, 6, "version 1.0, 2.0 or 3.0",
                hex(head.subspan(6, std::min<std::size_t>(head.size() - 6, 2))));
  }
  const std::size_t length_bytes = major == 1 ? 2 : 4;
  HeaderPlace place{.begin = 8 + length_bytes, .size = 0};
  if (head.size() < place.begin) {
    refuse_data(name, 8, fmt::format("{} bytes of header length", length_bytes),
                "the end: the file is truncated");
  }
  for (std::size_t i = length_bytes; i-- > 0;) {  // little-endian
    place.size = place.size << 8 | std::to_integer<std::size_t>(head[8 + i]);
  }
  if (place.size > kMaxNpyHeaderBytes) {
    refuse_data(name, 8, fmt::format("a header of at most {} bytes", kMaxNpyHeaderBytes),
                std::to_string(place.size));
  }
  return place;
}

}  // namespace

RawArray parse_npy(SharedBytes bytes) {
  const std::string& name = bytes->name();
  const HeaderPlace place = find_header(name, read_head(*bytes, 12));
  if (bytes->size() < place.begin + place.size) {
    refuse_data(name, bytes->size(), fmt::format("a header of {} bytes", place.size),
                "the end: the file is truncated");
  }
  std::string text(place.size, '\0');
  bytes->read(place.begin, std::as_writable_bytes(std::span(text)));
  RawArray array;
  HeaderParser(name, text, place.begin).parse(array);
  array.offset = place.begin + place.size;
  array.bytes = std::move(bytes);
  check_extent(array);
  return array;
}

}  // namespace gramtile
