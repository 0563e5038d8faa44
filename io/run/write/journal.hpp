// OUT.journal: what is on disk for sure. A header that says which run this is, then one record per
// committed tile, appended after the tile's data has been synced. docs/file_format.md has the
// bytes.
//
// The header is written to OUT.journal.new, synced, and renamed: a file named OUT.journal has had a
// whole header from its first moment, so a bad one is damage and not an early end.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "io/files/file.hpp"
#include "io/files/file_system.hpp"
#include "io/run/spec/run_spec.hpp"
#include "io/run/spec/shard.hpp"

namespace gramtile {

/// What the header says.
struct JournalHeader {
  std::vector<SpecFact> facts;  ///< facts_of(spec), the shard and the digest of the file's image
  std::string spec;             ///< spec_to_json(): provenance of the first start
  bool replace = false;         ///< an existing output may be replaced at the end
  /// Of all sessions of a run that went on with another instruction set, the first start's first;
  /// empty: that of `spec` made everything.
  std::vector<std::string> instruction_sets;
};

struct JournalRecord {
  Index tile = 0;
  std::uint64_t hash = 0;            ///< hash64 of the packed tile
  std::uint8_t instruction_set = 0;  ///< index in JournalHeader::instruction_sets
};

/// The facts that a journal's run and the present one must share.
std::vector<SpecFact> journal_facts(const RunSpec& spec, std::optional<Shard> shard,
                                    const std::string& image_digest);

/// An open, locked journal.
class Journal {
 public:
  /// Writes a new one with this header into `file` (OUT.journal.new, locked) and syncs it.
  static Journal create(File file, const JournalHeader& header);
  /// Reads one. Throws Error(kResumeRefused) for a header that is damaged. Records are read up to
  /// the first that is damaged or out of sequence; what follows is cut off.
  static Journal open(File file);
  /// The description of the run that `path` belongs to, by its journal alone; no lock is taken and
  /// nothing changed. Empty when there is no whole journal.
  static std::optional<RunSpec> spec_at(const std::string& path);

  /// Records of the journal that this one is to replace, in a file that was just created.
  void take_records(std::vector<JournalRecord> records);

  /// Of the tiles that this session computes; 0 unless it is set.
  void set_instruction_set(std::uint8_t index) { instruction_set_ = index; }
  std::uint8_t instruction_set() const { return instruction_set_; }

  /// Renames the file to `path` and makes that durable.
  void publish(FileSystem& system, const std::string& path);

  const File& file() const { return file_; }
  File take_file() && { return std::move(file_); }
  const JournalHeader& header() const { return header_; }
  const std::vector<JournalRecord>& records() const { return records_; }

  /// The same, which are not kept here any longer: there may be millions.
  std::vector<JournalRecord> release_records() { return std::exchange(records_, {}); }

  /// Appends records and syncs them. The caller has synced the data they speak of.
  void append(std::span<const JournalRecord> records);

 private:
  explicit Journal(File file) : file_(std::move(file)) {}

  File file_;
  JournalHeader header_;
  std::vector<JournalRecord> records_;  ///< as read; not those appended since
  std::uint64_t seed_ = 0;      ///< the header's hash: records of another journal do not pass
  std::uint64_t sequence_ = 0;  ///< of the next record
  std::uint8_t instruction_set_ = 0;
  std::uint64_t end_ = 0;  ///< where the next record goes [bytes]
};

}  // namespace gramtile
