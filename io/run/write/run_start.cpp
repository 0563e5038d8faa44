#include "io/run/write/run_start.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "engine/core/errors.hpp"
#include "io/run/read/run_reader.hpp"
#include "io/run/spec/run_image.hpp"
#include "io/run/write/output_start.hpp"

namespace gramtile {
namespace {

class Start {
 public:
  Start(FileSystem& system, const RunPaths& paths, RunSpec& spec, const RunOptions& options)
      : system_(system),
        paths_(paths),
        spec_(spec),
        options_(options),
        lock_(system, paths.lock, options.no_lock, options.notice) {}

  StartedRun operator()() {
    StartedRun run = start();
    run.lock = std::move(lock_);
    return run;
  }

 private:
  StartedRun start() {
    refuse_irregular(system_, paths_.out);
    std::optional<File> journal = open_locked(system_, lock_, paths_.journal);
    if (options_.mode == StartMode::kCreate) refuse_what_is_there(journal.has_value());
    if (journal && options_.mode == StartMode::kResume) return resume(*std::move(journal));
    if (options_.mode == StartMode::kResume && file_exists(system_, paths_.out)) {
      check_finished_output();
      return {};
    }
    return create(std::move(journal));
  }

  void refuse_what_is_there(bool has_journal) {
    refuse_existing_output(system_, paths_);
    if (has_journal || file_exists(system_, paths_.partial)) refuse_unfinished(paths_.partial);
  }

  StartedRun create(std::optional<File> old_journal) {
    File file = begin_journal(system_, lock_, paths_, old_journal.has_value());
    explained([&] { remove_file(system_, paths_.partial); });  // its space may be needed
    const hdf5::FileImage image = build_image(spec_, options_.shard);
    StartedRun run;
    run.replace = options_.mode == StartMode::kOverwrite;
    run.places = image.reserved();
    run.seal = seal_of(image, spec_);
    try {
      // Readers may poll: whatever bears the name OUT.partial can be opened.
      explained([&] { remove_file(system_, paths_.new_partial); });
      run.partial = File(system_, paths_.new_partial, OpenMode::kCreateNew);
      write_image(image, run.partial);
      write_seal(run.seal, run.partial);
      run.partial.sync();
      // As the finished file will be renamed: what this folder cannot do shows now.
      rename_file(system_, paths_.new_partial, paths_.partial, run.replace);
      sync_folder_of(system_, paths_.partial);
      run.partial.set_path(paths_.partial);
      const JournalHeader header{facts(image), spec_to_json(spec_), run.replace, {}};
      run.journal = Journal::create(std::move(file), header);
      run.journal->publish(system_, paths_.journal);
    } catch (const Error&) {
      remove_what_was_made();
      throw;
    }
    return run;
  }

  /// Nothing of a run that could not be created is worth keeping, least of all on a full disk.
  void remove_what_was_made() {
    system_.remove(paths_.new_partial);
    system_.remove(paths_.partial);
    system_.remove(paths_.new_journal);
    system_.remove(paths_.journal);
  }

  StartedRun resume(File journal_file) {
    StartedRun run;
    run.journal = Journal::open(std::move(journal_file));
    const JournalHeader& header = run.journal->header();
    const std::string own_set = spec_.instruction_set;
    take_first_start(spec_from_json(header.spec, paths_.journal), header);
    hdf5::FileImage image = build_image(spec_, options_.shard);
    refuse_changes(header, image);
    if (!file_exists(system_, paths_.partial) || was_linked_to_out()) return after_rename();
    // Of a session that was stopped while it made the file a mixture.
    if (file_exists(system_, paths_.new_journal)) remove_file(system_, paths_.new_journal);
    if (!header.instruction_sets.empty() || own_set != spec_.instruction_set) {
      mix(run, own_set);
      image = mixed_image(image);
    }
    run.replace = header.replace;
    run.places = image.reserved();
    run.seal = seal_of(image, spec_);
    refuse_irregular(system_, paths_.partial);
    run.partial = File(system_, paths_.partial, OpenMode::kReadWrite);
    check_size(image, run.partial);
    repair_metadata(image, run.partial);
    reset_conclusion(image, run.seal, run.partial);
    return run;
  }

  void refuse_changes(const JournalHeader& header, const hdf5::FileImage& image) {
    const std::vector<SpecFact> now = facts(image);
    const std::string changed = differences(header.facts, now);
    if (!changed.empty())
      throw Error(ErrorKind::kResumeRefused,
                  paths_.partial + ": cannot be resumed, this has changed: " + changed +
                      advice_to_resume(header.facts, now) + "; or start over with --overwrite");
    if (!header.instruction_sets.empty() && !options_.mixed_instruction_sets)
      throw Error(ErrorKind::kResumeRefused,
                  paths_.partial + ": was made with several instruction sets (" +
                      joined(header.instruction_sets) +
                      "); continue it with --mixed-instruction-sets, or start over with "
                      "--overwrite and the same GRAMTILE_TARGET in every environment");
  }

  /// From here on the file is a mixture: the journal says so first, with the records of what is
  /// committed, and takes the old one's name in one step. OUT.partial follows from it.
  void mix(StartedRun& run, const std::string& own_set) {
    JournalHeader header = run.journal->header();
    if (header.instruction_sets.empty()) header.instruction_sets = {spec_.instruction_set};
    const std::size_t num_known = header.instruction_sets.size();
    spec_.mixture.names = header.instruction_sets;
    const auto own = static_cast<std::uint8_t>(spec_.mixture.index_of(own_set));
    if (spec_.mixture.names.size() > num_known) {
      header.instruction_sets = spec_.mixture.names;
      Journal mixed = Journal::create(make_new_journal(system_, lock_, paths_), header);
      mixed.take_records(run.journal->records());
      mixed.publish(system_, paths_.journal);
      run.journal = std::move(mixed);
      if (options_.notice)
        options_.notice(paths_.partial + ": was begun with " + spec_.instruction_set +
                        " and goes on with " + own_set +
                        "; the file will say which of them made each tile");
    }
    run.journal->set_instruction_set(own);
  }

  /// The image with the names of spec_.mixture in it, in whose regions tiles lie where they lie
  /// now.
  hdf5::FileImage mixed_image(const hdf5::FileImage& plain) {
    hdf5::FileImage image = build_image(spec_, options_.shard);
    const auto same_place = [](const hdf5::RawData& a, const hdf5::RawData& b) {
      return a.dataset == b.dataset && a.offset == b.offset && a.num_bytes == b.num_bytes;
    };
    if (!std::ranges::equal(plain.reserved(), image.reserved(), same_place))
      throw Error(ErrorKind::kOther,
                  paths_.partial +
                      ": this version of the HDF5 library leaves no room for a second "
                      "instruction set; start over with --overwrite");
    return image;
  }

  /// A file that became a mixture, or was about to, has the size of another image.
  void check_size(const hdf5::FileImage& image, File& partial) {
    const auto size = static_cast<std::uint64_t>(partial.status().size_bytes);
    if (size == image.size_bytes()) return;
    const hdf5::RawData& last = image.reserved().back();
    if (spec_.mixture.names.empty() || spec_.mixture.by_tile.size() > 0 ||
        size < last.offset + last.num_bytes)
      throw Error(ErrorKind::kResumeRefused,
                  paths_.partial + ": has " + std::to_string(size) + " bytes instead of " +
                      std::to_string(image.size_bytes()) + "; start over with --overwrite");
    partial.allocate(image.size_bytes());
    partial.truncate(image.size_bytes());
  }

  /// Where a rename is made of a link and a removal, the run was stopped between the two.
  bool was_linked_to_out() {
    const auto partial = status_of(system_, paths_.partial), out = status_of(system_, paths_.out);
    if (!partial || !out || !partial->same_file(*out)) return false;
    remove_file(system_, paths_.partial);
    return true;
  }

  /// The run was stopped between its rename and the removal of its journal.
  StartedRun after_rename() {
    if (!file_exists(system_, paths_.out))
      throw Error(ErrorKind::kResumeRefused,
                  paths_.partial + ": is missing; start over with --overwrite");
    check_finished_output();
    remove_file(system_, paths_.journal);
    sync_folder_of(system_, paths_.journal);
    return {};
  }

  void check_finished_output() {
    std::string changed;
    try {
      const RunReader reader(paths_.out);
      changed = changes_since(reader.spec());
      const auto shard = reader.shard(), wanted = options_.shard;
      if (shard.has_value() != wanted.has_value() ||
          (shard && (shard->index != wanted->index || shard->count != wanted->count)))
        changed += changed.empty() ? "shard" : "; shard";
      if (!reader.complete()) changed = "it is not complete";
    } catch (const DataError&) {
      throw Error(ErrorKind::kCannotCreate,
                  paths_.out + ": exists and is no output of this program; choose another --out");
    }
    if (!changed.empty())
      throw Error(ErrorKind::kResumeRefused,
                  paths_.out + ": is there already and differs from this run: " + changed +
                      "; choose another --out, or replace it with --overwrite");
  }

  /// Between a finished output and this run.
  std::string changes_since(const RunSpec& finished) const {
    std::vector<SpecFact> before = facts_of(finished), now = facts_of(spec_);
    if (options_.mixed_instruction_sets) {
      before = without_instruction_set(std::move(before));
      now = without_instruction_set(std::move(now));
    }
    const std::string changed = differences(before, now);
    return changed.empty() ? "" : changed + advice_to_resume(before, now);
  }

  std::vector<SpecFact> facts(const hdf5::FileImage& image) {
    return journal_facts(spec_, options_.shard, digest_of(image));
  }

  void take_first_start(const RunSpec& first, const JournalHeader& header) {
    if (options_.mixed_instruction_sets || !header.instruction_sets.empty())
      spec_.instruction_set = first.instruction_set;
    spec_.upstream = first.upstream;
    spec_.command = first.command;
    spec_.created = first.created;
    for (std::size_t i = 0; i < std::min(spec_.sets.size(), first.sets.size()); ++i)
      spec_.sets[i].source = first.sets[i].source;
  }

  FileSystem& system_;
  const RunPaths& paths_;
  RunSpec& spec_;
  const RunOptions& options_;
  OutputLock lock_;
};

}  // namespace

StartedRun start_run(FileSystem& system, const RunPaths& paths, RunSpec& spec,
                     const RunOptions& options) {
  return Start(system, paths, spec, options)();
}

}  // namespace gramtile
