#include "io/run/run_start.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "engine/core/errors.hpp"
#include "io/run/read_run.hpp"
#include "io/run/run_image.hpp"

namespace gramtile {
namespace {

/// A folder that is missing or may not be written to is not an I/O error but a wrong --out.
File open_or_explain(FileSystem& system, const std::string& path, OpenMode mode) {
  try {
    return {system, path, mode};
  } catch (const IoError& error) {
    switch (error.error_number) {
      case ENOENT:
      case ENOTDIR:
      case EACCES:
      case EPERM:
      case EROFS:
      case EISDIR:
      case ENAMETOOLONG:
        throw Error(
            ErrorKind::kCannotCreate,
            std::string(error.what()) + "; choose an --out in a folder that can be written");
      default:
        throw;
    }
  }
}

/// False when `path` was renamed or removed since `file` was opened there.
bool leads_to(FileSystem& system, const std::string& path, const File& file) {
  const auto now = status_of(system, path);
  return now && now->same_file(file.status());
}

/// Opens `path` and locks it. Empty when it does not exist (kReadWrite), or when it was renamed or
/// removed between the two calls; the caller looks again. Throws kLocked when another holds it.
std::optional<File> open_locked(FileSystem& system, const std::string& path, OpenMode mode) {
  if (mode == OpenMode::kReadWrite && !file_exists(system, path)) return std::nullopt;
  File file = open_or_explain(system, path, mode);
  if (!file.try_lock())
    throw Error(ErrorKind::kLocked,
                path +
                    ": another process is writing this output; wait for it or choose another "
                    "--out");
  if (!leads_to(system, path, file)) return std::nullopt;
  return file;
}

class Start {
 public:
  Start(FileSystem& system, const RunPaths& paths, RunSpec& spec, const RunOptions& options)
      : system_(system), paths_(paths), spec_(spec), options_(options) {}

  StartedRun operator()() {
    std::optional<File> journal = open_locked(system_, paths_.journal, OpenMode::kReadWrite);
    if (options_.mode == StartMode::kCreate) refuse_what_is_there(journal.has_value());
    if (journal && options_.mode == StartMode::kResume) return resume(*std::move(journal));
    if (options_.mode == StartMode::kResume && file_exists(system_, paths_.out)) {
      check_finished_output();
      return {};
    }
    return create(std::move(journal));
  }

 private:
  void refuse_what_is_there(bool has_journal) {
    if (file_exists(system_, paths_.out))
      throw Error(ErrorKind::kCannotCreate,
                  paths_.out + ": exists; choose another --out, or replace it with --overwrite");
    if (has_journal || file_exists(system_, paths_.partial))
      throw Error(ErrorKind::kUnfinishedRun,
                  paths_.partial +
                      ": an unfinished run is there; continue it with --resume, or "
                      "start over with --overwrite");
  }

  StartedRun create(std::optional<File> old_journal) {
    std::optional<File> file = open_locked(system_, paths_.new_journal, OpenMode::kCreate);
    // Another process was faster: it published its journal while this one looked.
    if (!file || (!old_journal && file_exists(system_, paths_.journal)))
      throw Error(ErrorKind::kLocked, paths_.journal + ": another process has just started here");
    if (old_journal) {
      // The old run ends here. Its journal goes first, so that it can never vouch for new data.
      remove_file(system_, paths_.journal);
      sync_folder_of(system_, paths_.journal);
    }
    remove_file(system_, paths_.partial);  // its space may be needed
    const hdf5::FileImage image = build_image(spec_, options_.shard);
    StartedRun run;
    run.replace = options_.mode == StartMode::kOverwrite;
    run.places = image.reserved();
    run.seal = seal_of(image);
    try {
      // Readers may poll: whatever bears the name OUT.partial can be opened.
      run.partial = File(system_, paths_.new_partial, OpenMode::kCreate);
      write_image(image, run.partial);
      write_seal(run.seal, run.partial);
      run.partial.sync();
      rename_file(system_, paths_.new_partial, paths_.partial, /*replace=*/true);
      sync_folder_of(system_, paths_.partial);
      run.partial.set_path(paths_.partial);
      const JournalHeader header{facts(image), spec_to_json(spec_), run.replace};
      run.journal = Journal::create(*std::move(file), header);
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
    take_provenance(spec_from_json(header.spec, paths_.journal));
    const hdf5::FileImage image = build_image(spec_, options_.shard);
    const std::string changed = differences(header.facts, facts(image));
    if (!changed.empty())
      throw Error(ErrorKind::kResumeRefused,
                  paths_.partial + ": cannot be resumed, this has changed: " + changed +
                      "; start over with --overwrite");
    run.replace = header.replace;
    run.places = image.reserved();
    run.seal = seal_of(image);
    if (!file_exists(system_, paths_.partial)) return after_rename();
    run.partial = File(system_, paths_.partial, OpenMode::kReadWrite);
    const auto size = static_cast<std::uint64_t>(run.partial.status().size_bytes);
    if (size != image.size_bytes())
      throw Error(ErrorKind::kResumeRefused,
                  paths_.partial + ": has " + std::to_string(size) + " bytes instead of " +
                      std::to_string(image.size_bytes()) + "; start over with --overwrite");
    repair_metadata(image, run.partial);
    reset_conclusion(image, run.seal, run.partial);
    return run;
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
      changed = differences(facts_of(reader.spec()), facts_of(spec_));
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

  std::vector<SpecFact> facts(const hdf5::FileImage& image) {
    return journal_facts(spec_, options_.shard, digest_of(image));
  }

  void take_provenance(const RunSpec& first) {
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
};

}  // namespace

RunPaths::RunPaths(const std::string& out_path)
    : out(out_path),
      partial(RunWriter::partial_path(out_path)),
      new_partial(partial + ".new"),
      journal(RunWriter::journal_path(out_path)),
      new_journal(journal + ".new") {}

StartedRun start_run(FileSystem& system, const RunPaths& paths, RunSpec& spec,
                     const RunOptions& options) {
  return Start(system, paths, spec, options)();
}

}  // namespace gramtile
