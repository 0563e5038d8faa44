#include "io/solve/solve_files.hpp"

#include <cerrno>
#include <utility>

#include "engine/core/errors.hpp"
#include "io/hdf5/hdf5.hpp"
#include "io/run/spec/content_hash.hpp"
#include "io/run/spec/run_image.hpp"
#include "io/run/write/output_start.hpp"

namespace gramtile {

SolveFiles::SolveFiles(const std::string& out_path, std::vector<SpecFact> facts,
                       const std::string& created, const SolveFileOptions& options)
    : options_(options),
      system_(options.file_system != nullptr ? *options.file_system : posix_file_system()),
      paths_(out_path),
      work_path_(work_path(out_path, options.work_folder)),
      facts_(std::move(facts)),
      created_(created),
      lock_(system_, paths_.lock, options.no_lock, options.notice) {
  start();
}

SolveFiles::~SolveFiles() {
  const bool kept =
      has_work() || num_kept() > 0 || (work_ && work_->has_records()) || !state_path().empty();
  if (!journal_ || kept) return;
  try {
    abandon();
  } catch (const Error&) {  // what stays is not in the way of the next run
  }
}

void SolveFiles::abandon() {
  remove_leftovers();
  journal_.reset();
}

std::string SolveFiles::fingerprint(const std::vector<SpecFact>& facts) {
  ContentHasher hasher;
  for (const SpecFact& fact : facts) {
    hasher.add(fact.name + '\0');
    hasher.add(fact.value + '\0');
  }
  return hasher.digest();
}

std::string SolveFiles::work_path(const std::string& out_path, const std::string& work_folder) {
  if (work_folder.empty()) return out_path + ".work";
  return work_folder + "/" + out_path.substr(out_path.find_last_of('/') + 1) + ".work";
}

void SolveFiles::start() {
  refuse_irregular(system_, paths_.out);
  refuse_irregular(system_, work_path_);
  std::optional<File> journal = open_locked(system_, lock_, paths_.journal);
  if (options_.mode == StartMode::kCreate) refuse_what_is_there(journal);
  if (options_.mode == StartMode::kResume && journal) return resume(*std::move(journal));
  if (options_.mode == StartMode::kResume && file_exists(system_, paths_.out)) {
    if (is_output_of_this_run()) return;
    throw Error(ErrorKind::kResumeRefused,
                paths_.out +
                    ": is there already and is of other inputs or options; choose "
                    "another --out, or replace it with --overwrite");
  }
  create(std::move(journal));
}

/// A journal of ours without records: a run in memory was killed, of which nothing is left.
bool SolveFiles::holds_nothing(std::optional<File>& journal) const {
  try {
    Journal opened = Journal::open(*std::move(journal));
    const auto& facts = opened.header().facts;
    const bool empty = opened.records().empty() && !facts.empty() &&
                       facts.front().name == facts_.front().name && state_path().empty();
    journal = std::move(opened).take_file();
    return empty;
  } catch (const Error&) {
    return false;
  }
}

void SolveFiles::refuse_what_is_there(std::optional<File>& journal) {
  refuse_existing_output(system_, paths_);
  if (journal && !holds_nothing(journal)) refuse_unfinished(paths_.journal);
}

void SolveFiles::create(std::optional<File> old_journal) {
  File file = begin_journal(system_, lock_, paths_, old_journal.has_value());
  remove_file(system_, work_path_);
  remove_file(system_, paths_.partial);
  const bool replace = options_.mode == StartMode::kOverwrite;
  journal_ = Journal::create(std::move(file), {facts_, created_, replace, {}});
  journal_->publish(system_, paths_.journal);
}

void SolveFiles::resume(File file) {
  journal_ = Journal::open(std::move(file));
  const std::string changed = differences(journal_->header().facts, facts_);
  if (!changed.empty())
    throw Error(ErrorKind::kResumeRefused, paths_.journal +
                                               ": cannot be resumed, this has changed: " + changed +
                                               "; or start over with --overwrite");
  created_ = journal_->header().spec;
  if (!is_output_of_this_run()) return;
  remove_leftovers();  // the run was stopped between its rename and its end
  journal_.reset();
}

/// The time is compared too: an output that --overwrite is to replace may be of the same inputs.
bool SolveFiles::is_output_of_this_run() const {
  if (!file_exists(system_, paths_.out)) return false;
  try {
    const hdf5::File file(paths_.out);
    return file.string_attribute("fingerprint") == fingerprint(facts_) &&
           (!journal_ || file.string_attribute("created") == created_);
  } catch (const DataError&) {
    return false;
  }
}

WorkFile& SolveFiles::open_work(FactorGrid grid, std::size_t panel_bytes) {
  const std::uint64_t size = WorkFile::num_bytes(grid);
  if (has_work()) {
    const auto there = status_of(system_, work_path_);
    if (!there || static_cast<std::uint64_t>(there->size_bytes) != size)
      throw Error(ErrorKind::kResumeRefused,
                  work_path_ +
                      ": is missing or was cut; name its folder with --work, or start "
                      "over with --overwrite");
    work_file_ = explained([&] { return File(system_, work_path_, OpenMode::kReadWrite); });
  } else {
    explained([&] { remove_file(system_, work_path_); });
    work_file_ = explained([&] { return File(system_, work_path_, OpenMode::kCreateNew); });
    try {
      work_file_.truncate(size);
      work_file_.allocate(size);
      work_file_.sync();
      sync_folder_of(system_, work_path_);
    } catch (const Error&) {  // what was reserved of a full disk goes back
      system_.remove(work_path_);
      throw;
    }
  }
  work_ = std::make_unique<WorkFile>(work_file_, *journal_, grid, panel_bytes, [this] {
    if (options_.before_commit) options_.before_commit();
  });
  return *work_;
}

std::string SolveFiles::state_path() const {
  if (!options_.keeps_state || !file_exists(system_, paths_.partial)) return "";
  return paths_.partial;
}

void SolveFiles::write_file(const hdf5::FileImage& image, const std::string& path) {
  explained([&] { remove_file(system_, path); });
  File file = explained([&] { return File(system_, path, OpenMode::kCreateNew); });
  write_image(image, file);
  file.sync();
}

void SolveFiles::keep_state(const hdf5::FileImage& image) {
  if (options_.before_commit) options_.before_commit();
  write_file(image, paths_.new_partial);
  check_names(system_, paths_, {{paths_.journal, journal_->file()}}, lock_);
  rename_file(system_, paths_.new_partial, paths_.partial, true);
  sync_folder_of(system_, paths_.partial);
}

void SolveFiles::finish_with_state() { publish(); }

void SolveFiles::finish(const hdf5::FileImage& image) {
  if (options_.before_commit) options_.before_commit();
  write_file(image, paths_.partial);
  publish();
}

void SolveFiles::publish() {
  check_names(system_, paths_, {{paths_.journal, journal_->file()}}, lock_);
  try {
    rename_file(system_, paths_.partial, paths_.out, journal_->header().replace);
  } catch (const IoError& error) {
    if (error.error_number != EEXIST) throw;
    throw Error(ErrorKind::kCannotCreate,
                paths_.out +
                    ": appeared while this run was on; move it away and continue with "
                    "--resume");
  }
  sync_folder_of(system_, paths_.out);
  remove_leftovers();
  journal_.reset();
}

void SolveFiles::remove_leftovers() {
  work_.reset();
  work_file_ = File();
  remove_file(system_, work_path_);
  remove_file(system_, paths_.partial);
  if (options_.keeps_state) remove_file(system_, paths_.new_partial);
  remove_file(system_, paths_.journal);
  sync_folder_of(system_, paths_.journal);
}

}  // namespace gramtile
