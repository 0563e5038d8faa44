#include "io/run/write/journal.hpp"

#include <xxhash.h>

#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include "engine/core/errors.hpp"
#include "io/run/spec/content_hash.hpp"

namespace gramtile {
namespace {

static_assert(std::endian::native == std::endian::little, "journals are little-endian");

using Json = nlohmann::ordered_json;

constexpr char kMagic[8] = {'G', 'T', 'J', 'O', 'U', 'R', 'N', '1'};
constexpr std::size_t kPrefixBytes = 16;  // magic, length of the text
constexpr std::size_t kHashBytes = 8;

/// As it lies in the file.
struct RawRecord {
  std::uint64_t sequence;
  std::uint64_t tile;  ///< and in the highest byte the instruction set
  std::uint64_t hash;
  std::uint64_t check;  ///< XXH3-64 of the three before, seeded with the header's hash
};
static_assert(sizeof(RawRecord) == 32);
constexpr int kNumTileBits = 56;
constexpr std::uint64_t kTileBits = (std::uint64_t{1} << kNumTileBits) - 1;

std::uint64_t check_of(const RawRecord& record, std::uint64_t seed) {
  return XXH3_64bits_withSeed(&record, offsetof(RawRecord, check), seed);
}

std::string header_text(const JournalHeader& header) {
  Json facts = Json::array();
  for (const SpecFact& fact : header.facts) facts.push_back({fact.name, fact.value});
  Json json = {{"facts", facts}, {"spec", header.spec}, {"replace", header.replace}};
  if (!header.instruction_sets.empty()) json["instruction_sets"] = header.instruction_sets;
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

JournalHeader parse_header(const std::string& text) {
  const Json json = Json::parse(text);
  JournalHeader header;
  for (const Json& fact : json.at("facts"))
    header.facts.push_back({fact.at(0).get<std::string>(), fact.at(1).get<std::string>()});
  header.spec = json.at("spec").get<std::string>();
  header.replace = json.at("replace").get<bool>();
  if (json.contains("instruction_sets"))
    header.instruction_sets = json.at("instruction_sets").get<std::vector<std::string>>();
  return header;
}

[[noreturn]] void refuse(const std::string& path, const std::string& problem) {
  throw Error(ErrorKind::kResumeRefused,
              path + ": " + problem +
                  "; what is finished cannot be trusted: start over with "
                  "--overwrite");
}

std::vector<std::byte> read_whole(const File& file) {
  std::vector<std::byte> bytes(static_cast<std::size_t>(file.status().size_bytes));
  file.read_all(0, bytes);
  return bytes;
}

}  // namespace

std::vector<SpecFact> journal_facts(const RunSpec& spec, std::optional<Shard> shard,
                                    const std::string& image_digest) {
  std::vector<SpecFact> facts = facts_of(spec);
  if (shard) {
    facts.push_back({"shard", std::to_string(shard->index) + "/" + std::to_string(shard->count)});
  }
  facts.push_back({"file layout (version of the HDF5 library or of this program)", image_digest});
  return facts;
}

Journal Journal::create(File file, const JournalHeader& header) {
  const std::string text = header_text(header);
  std::vector<std::byte> bytes(kPrefixBytes + text.size() + kHashBytes);
  const std::uint64_t length = text.size();
  std::memcpy(&bytes[0], kMagic, sizeof kMagic);
  std::memcpy(&bytes[8], &length, sizeof length);
  std::memcpy(&bytes[kPrefixBytes], text.data(), text.size());
  Journal journal(std::move(file));
  journal.header_ = header;
  journal.seed_ = hash64(std::span(bytes).first(kPrefixBytes + text.size()));
  std::memcpy(&bytes[kPrefixBytes + text.size()], &journal.seed_, kHashBytes);
  journal.end_ = bytes.size();
  journal.file_.truncate(0);
  journal.file_.write(0, bytes);
  journal.file_.sync();
  return journal;
}

namespace {

struct ReadHeader {
  JournalHeader header;
  std::uint64_t check = 0;
  std::size_t end = 0;  ///< where the records begin
};

ReadHeader read_header(const std::string& path, std::span<const std::byte> bytes) {
  if (bytes.size() < kPrefixBytes || std::memcmp(bytes.data(), kMagic, sizeof kMagic) != 0)
    refuse(path, "is not a journal, or its beginning is damaged");
  std::uint64_t length = 0;
  std::memcpy(&length, &bytes[8], sizeof length);
  if (length > bytes.size() - kPrefixBytes || bytes.size() - kPrefixBytes - length < kHashBytes)
    refuse(path, "its header is damaged");
  const std::size_t hashed = kPrefixBytes + static_cast<std::size_t>(length);
  ReadHeader read{.header = {}, .check = hash64(bytes.first(hashed)), .end = hashed + kHashBytes};
  if (std::memcmp(&read.check, &bytes[hashed], kHashBytes) != 0)
    refuse(path, "its header is damaged");
  try {
    read.header = parse_header(
        {reinterpret_cast<const char*>(&bytes[kPrefixBytes]), static_cast<std::size_t>(length)});
  } catch (const Json::exception&) {
    refuse(path, "its header is of another version");
  }
  return read;
}

}  // namespace

std::optional<RunSpec> Journal::spec_at(const std::string& path) {
  try {
    const File file(posix_file_system(), path, OpenMode::kRead);
    return spec_from_json(read_header(path, read_whole(file)).header.spec, path);
  } catch (const Error&) {
    return std::nullopt;
  }
}

Journal Journal::open(File file) {
  const std::vector<std::byte> bytes = read_whole(file);
  Journal journal(std::move(file));
  ReadHeader read = read_header(journal.file_.path(), bytes);
  journal.header_ = std::move(read.header);
  journal.seed_ = read.check;
  journal.end_ = read.end;
  while (bytes.size() - journal.end_ >= sizeof(RawRecord)) {
    RawRecord record;
    std::memcpy(&record, &bytes[journal.end_], sizeof record);
    if (record.sequence != journal.sequence_ || record.check != check_of(record, journal.seed_))
      break;
    journal.records_.push_back({static_cast<Index>(record.tile & kTileBits), record.hash,
                                static_cast<std::uint8_t>(record.tile >> kNumTileBits)});
    ++journal.sequence_;
    journal.end_ += sizeof record;
  }
  if (journal.end_ < bytes.size()) {
    journal.file_.truncate(journal.end_);
    journal.file_.sync();
  }
  return journal;
}

void Journal::take_records(std::vector<JournalRecord> records) {
  append(records);
  records_ = std::move(records);
}

void Journal::publish(FileSystem& system, const std::string& path) {
  rename_file(system, file_.path(), path, /*replace=*/true);
  sync_folder_of(system, path);
  file_.set_path(path);
}

void Journal::append(std::span<const JournalRecord> records) {
  if (records.empty()) return;
  std::vector<RawRecord> raw;
  for (const JournalRecord& record : records) {
    const std::uint64_t tile = static_cast<std::uint64_t>(record.tile) |
                               (std::uint64_t{record.instruction_set} << kNumTileBits);
    RawRecord next{sequence_ + raw.size(), tile, record.hash, 0};
    next.check = check_of(next, seed_);
    raw.push_back(next);
  }
  file_.write(end_, std::as_bytes(std::span(raw)));
  file_.sync_data();
  sequence_ += raw.size();
  end_ += raw.size() * sizeof(RawRecord);
}

}  // namespace gramtile
