#include "io/data/mat5.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/core/errors.hpp"
#include "io/data/array_names.hpp"
#include "io/data/axis_order.hpp"
#include "io/data/bad_data.hpp"
#include "io/data/inflate.hpp"

namespace gramtile {
namespace {

constexpr std::string_view kMatMagic = "MATLAB 5.0 MAT-file";
constexpr std::uint64_t kHeaderBytes = 128;
constexpr std::uint64_t kTagBytes = 8;
constexpr std::size_t kMaxVariables = 1000;
constexpr std::size_t kMaxMatRank = 8;
constexpr std::uint32_t kMatrix = 14, kCompressed = 15;  // types of a variable's element
constexpr std::uint32_t kMaxNameBytes = 256;
// Flags, dimensions, name and the tag of the data, each with its tag.
constexpr std::uint64_t kMaxMatrixHead = 16 + 8 + 4 * kMaxMatRank + 8 + kMaxNameBytes + 16;

std::uint32_t u32(std::span<const std::byte> bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 4; i-- > 0;) {
    value = value << 8 | std::to_integer<std::uint32_t>(bytes[at + i]);
  }
  return value;
}

// A piece of a variable: its type, and where its bytes are.
struct Element {
  std::uint32_t type = 0;
  std::uint64_t begin = 0, size = 0;
};

// What a variable's first bytes tell.
struct MatrixHead {
  std::string name;
  std::uint32_t matlab_class = 0;
  bool is_complex = false;
  std::vector<std::uint64_t> shape;  // reversed: in C order
  Element data;                      // counted from the variable's first byte
};

// Reads elements one after another from the first bytes of a variable.
class ElementReader {
 public:
  ElementReader(const std::string& file, std::uint64_t offset, std::span<const std::byte> bytes)
      : file_(file), offset_(offset), bytes_(bytes) {}

  Element next() {
    need(at_, kTagBytes);
    const std::uint32_t word = u32(bytes_, at_);
    Element element;
    if (word >> 16 != 0) {  // at most four bytes, kept in the tag itself
      element = {.type = word & 0xffff, .begin = at_ + 4, .size = word >> 16};
      if (element.size > 4) refuse("an element of at most 4 bytes", element.size);
      at_ += kTagBytes;
    } else {
      element = {.type = word, .begin = at_ + kTagBytes, .size = u32(bytes_, at_ + 4)};
      at_ = element.begin + (element.size + 7) / 8 * 8;
    }
    return element;
  }
  std::span<const std::byte> contents(const Element& element) const {
    need(element.begin, element.size);
    return bytes_.subspan(element.begin, element.size);
  }
  [[noreturn]] void refuse(const std::string& expected, std::uint64_t found) const {
    refuse_data(file_, offset_ + at_, expected, std::to_string(found));
  }

 private:
  void need(std::uint64_t begin, std::uint64_t size) const {
    if (begin <= bytes_.size() && size <= bytes_.size() - begin) return;
    refuse_data(file_, offset_ + begin, fmt::format("{} more bytes of a variable", size),
                "its end, or a header that is too long");
  }

  const std::string& file_;
  std::uint64_t offset_;
  std::span<const std::byte> bytes_;
  std::uint64_t at_ = 0;
};

// Classes 6 (double) to 15 (uint64); the others are cells, structs, objects, text and sparse ones.
bool is_numeric(const MatrixHead& head) {
  return head.matlab_class >= 6 && head.matlab_class <= 15 && !head.is_complex;
}

// `bytes` are the variable's first ones, behind its own tag.
MatrixHead parse_head(const std::string& file, std::uint64_t offset,
                      std::span<const std::byte> bytes) {
  ElementReader reader(file, offset, bytes);
  MatrixHead head;
  const Element flags = reader.next();
  if (flags.type != 6 || flags.size != 8) reader.refuse("8 bytes of array flags", flags.size);
  const std::uint32_t word = u32(reader.contents(flags), 0);
  head.matlab_class = word & 0xff;
  head.is_complex = (word & 0x800) != 0;
  const Element extents = reader.next();
  if (extents.type != 5 || extents.size % 4 != 0 || extents.size > 4 * kMaxMatRank) {
    reader.refuse("at most 8 extents", extents.size);
  }
  for (std::size_t at = extents.size; at > 0; at -= 4) {
    head.shape.push_back(u32(reader.contents(extents), at - 4));
  }
  const Element name = reader.next();
  if (name.size > kMaxNameBytes) reader.refuse("a name of at most 256 bytes", name.size);
  for (const std::byte b : reader.contents(name)) head.name += std::to_integer<char>(b);
  if (is_numeric(head)) head.data = reader.next();
  return head;
}

struct Variable {
  MatrixHead head;
  std::uint64_t begin = 0, size = 0;  // of its bytes in the file, behind the tag
  std::uint64_t unpacked_bytes = 0;   // of a compressed one, its own tag included; otherwise 0
};

// The first bytes of a variable, unpacked when they are compressed.
std::vector<std::byte> first_bytes(const SharedBytes& bytes, Variable& variable,
                                   std::uint32_t type) {
  const auto size =
      static_cast<std::size_t>(std::min<std::uint64_t>(variable.size, kMaxMatrixHead));
  if (type == kMatrix) {
    std::vector<std::byte> head(size);
    bytes->read(variable.begin, head);
    return head;
  }
  InflateStream stream(section_of(bytes, variable.begin, variable.size, bytes->name()),
                       Compression::kZlib);
  std::vector<std::byte> head(kTagBytes + kMaxMatrixHead);
  head.resize(stream.read(head));
  if (head.size() < kTagBytes || u32(head, 0) != kMatrix) {
    refuse_data(bytes->name(), variable.begin, "a compressed variable", "something else");
  }
  variable.unpacked_bytes = kTagBytes + u32(head, 4);
  head.erase(head.begin(), head.begin() + kTagBytes);
  head.resize(std::min(head.size(), static_cast<std::size_t>(variable.unpacked_bytes - kTagBytes)));
  return head;
}

std::vector<Variable> read_variables(const SharedBytes& bytes) {
  std::vector<std::byte> header(kHeaderBytes);
  bytes->read(0, header);
  if (header[126] != std::byte{'I'} || header[127] != std::byte{'M'}) {
    refuse_data(bytes->name(), 126, "a file of a little-endian machine (49 4d)",
                hex(std::span(header).subspan(126)));
  }
  std::vector<Variable> variables;
  for (std::uint64_t at = kHeaderBytes; at < bytes->size();) {
    if (variables.size() == kMaxVariables) {
      refuse_data(bytes->name(), at, "at most 1000 variables", "more");
    }
    std::vector<std::byte> tag(kTagBytes);
    bytes->read(at, tag);
    const std::uint32_t type = u32(tag, 0);
    if (type != kMatrix && type != kCompressed) {
      refuse_data(bytes->name(), at, "a variable (14 or 15)", std::to_string(type));
    }
    Variable variable;
    variable.begin = at + kTagBytes;
    variable.size = u32(tag, 4);
    if (variable.size > bytes->size() - variable.begin) {
      refuse_data(bytes->name(), at + 4,
                  fmt::format("at most {} bytes of variable", bytes->size() - variable.begin),
                  fmt::format("{}: the file is truncated", variable.size));
    }
    const std::vector<std::byte> first = first_bytes(bytes, variable, type);
    variable.head = parse_head(bytes->name(), variable.begin, first);
    at = variable.begin + variable.size;
    variables.push_back(std::move(variable));
  }
  return variables;
}

ElementType element_type(const std::string& name, const MatrixHead& head) {
  // Numbers of class double or single may be kept as integers, to save room.
  const bool is_float = head.matlab_class == 6 || head.matlab_class == 7;
  switch (head.data.type) {
    case 1:
      return {.kind = 'i', .size = 1, .is_plain = is_float};
    case 2:
      return {.kind = 'u', .size = 1, .is_plain = is_float};
    case 3:
      return {.kind = 'i', .size = 2, .is_plain = is_float};
    case 4:
      return {.kind = 'u', .size = 2, .is_plain = is_float};
    case 5:
      return {.kind = 'i', .size = 4, .is_plain = is_float};
    case 6:
      return {.kind = 'u', .size = 4, .is_plain = is_float};
    case 7:
      return {.kind = 'f', .size = 4};
    case 9:
      return {.kind = 'f', .size = 8};
    case 12:
      return {.kind = 'i', .size = 8, .is_plain = is_float};
    case 13:
      return {.kind = 'u', .size = 8, .is_plain = is_float};
    default:
      break;
  }
  throw DataError(name, fmt::format("expected a plain array of numbers, found one of class {}",
                                    head.matlab_class));
}

RawArray open_array(const SharedBytes& bytes, const Variable& variable,
                    std::uint64_t in_memory_bytes) {
  const MatrixHead& head = variable.head;
  const std::string name = bytes->name() + ":/" + printable(head.name);
  if (!is_numeric(head)) {
    throw DataError(name,
                    "expected a plain array of numbers, found a complex, sparse, text, cell "
                    "or struct array");
  }
  SharedBytes whole = section_of(bytes, variable.begin, variable.size, name);
  std::uint64_t skipped = 0;
  if (variable.unpacked_bytes > 0) {
    whole = unpack(whole, {.compression = Compression::kZlib,
                           .size = variable.unpacked_bytes,
                           .crc = {},
                           .name = name,
                           .in_memory_bytes = in_memory_bytes});
    skipped = kTagBytes;
  }
  RawArray array{.bytes = section_of(whole, skipped + head.data.begin, head.data.size, name),
                 .offset = 0,
                 .type = element_type(name, head),
                 .shape = head.shape,
                 .shape_offset = 0};
  check_extent(array);
  return array;
}

std::vector<std::string> names_of(const std::vector<Variable>& variables) {
  std::vector<std::string> names;
  for (const Variable& variable : variables) {
    if (is_numeric(variable.head)) names.push_back(variable.head.name);
  }
  return names;
}

const Variable* find(const std::vector<Variable>& variables, const std::string& name) {
  const auto found = std::find_if(variables.begin(), variables.end(),
                                  [&](const Variable& v) { return v.head.name == name; });
  return found == variables.end() ? nullptr : &*found;
}

const Variable& find_chosen(const SharedBytes& bytes, const std::vector<Variable>& variables,
                            const std::string& what, const std::optional<std::string>& chosen) {
  if (!chosen) {
    throw DataError(bytes->name(),
                    "which variable holds the " + what +
                        "? Name one behind ':/' (found: " + list_names(names_of(variables)) + ")");
  }
  if (const Variable* const found = find(variables, *chosen)) return *found;
  throw DataError(bytes->name(), "expected a variable '" + printable(*chosen) +
                                     "', found: " + list_names(names_of(variables)));
}

}  // namespace

bool is_mat5(std::span<const std::byte> head) {
  return head.size() >= kMatMagic.size() &&
         std::memcmp(head.data(), kMatMagic.data(), kMatMagic.size()) == 0;
}

std::unique_ptr<ImageReader> open_mat5(const SharedBytes& bytes, const std::string& key,
                                       DatasetRole role, std::uint64_t in_memory_bytes) {
  const std::vector<Variable> variables = read_variables(bytes);
  const auto chosen = key.empty() ? choose_images(names_of(variables), role) : std::optional(key);
  const Variable& images = find_chosen(bytes, variables, "images", chosen);
  std::optional<RawArray> labels;
  for (const std::string& name : label_names(*chosen)) {
    const Variable* const found = find(variables, name);
    if (found == nullptr || found == &images || !is_numeric(found->head)) continue;
    labels = open_array(bytes, *found, in_memory_bytes);
    break;
  }
  return reorder_axes(
      open_raw_images(open_array(bytes, images, in_memory_bytes), std::move(labels)),
      AxisOrder::kTransposed);
}

RawArray open_mat5_array(const SharedBytes& bytes, const std::string& key, DatasetRole role,
                         std::uint64_t in_memory_bytes) {
  const std::vector<Variable> variables = read_variables(bytes);
  const auto chosen = key.empty() ? choose_labels(names_of(variables), role) : std::optional(key);
  return open_array(bytes, find_chosen(bytes, variables, "labels", chosen), in_memory_bytes);
}

}  // namespace gramtile
