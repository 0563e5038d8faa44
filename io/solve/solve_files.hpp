// The files of a kernel-predict run, and their protocol:
//
//   OUT.journal   which run this is, locked while it is on; which block columns of the factor are
//                 on disk for sure
//   OUT.work      the factor, where it is not kept in memory (or DIR/OUT.work with --work)
//   OUT.partial   the result, for a moment at the end
//   OUT           appears by rename
//
//   start    journal written → fsync → rename to OUT.journal → fsync folder
//   finish   OUT.partial written → fsync → rename to OUT → fsync folder → remove OUT.work,
//   OUT.journal
//
// A run whose output grows from step to step keeps it as it is in OUT.partial (keep_state): written
// to OUT.partial.new, synced and renamed, so that there is always a whole one.
//
// A run that was killed at any of these calls is continued, and gives the same bytes.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "io/hdf5/file_builder.hpp"
#include "io/run/write/output_lock.hpp"
#include "io/run/write/run_options.hpp"
#include "io/run/write/run_paths.hpp"
#include "io/solve/work_file.hpp"

namespace gramtile {

struct SolveFileOptions {
  StartMode mode = StartMode::kCreate;
  std::string work_folder;            ///< empty: beside the output
  FileSystem* file_system = nullptr;  ///< nullptr: the real one
  bool no_lock = false;
  bool keeps_state = false;  ///< OUT.partial is what a run goes on from
  std::function<void(const std::string&)> notice;
  /// Called before columns are kept and before the output is made; when it throws, they are not.
  std::function<void()> before_commit;
};

class SolveFiles {
 public:
  /// Creates or continues the run that `facts` tell from others. `created` is the time of its first
  /// start, kept through continuations. Errors as of RunWriter.
  SolveFiles(const std::string& out_path, std::vector<SpecFact> facts, const std::string& created,
             const SolveFileOptions& options);
  /// A run of which nothing was kept leaves nothing behind.
  ~SolveFiles();

  /// kResume on a run whose output is there.
  bool already_finished() const { return !journal_.has_value(); }
  /// Time of the first start.
  const std::string& created() const { return created_; }
  /// An earlier start kept block columns on disk.
  bool has_work() const { return journal_ && !journal_->records().empty(); }

  /// Makes OUT.work, reserving its space (kNoSpace), or opens what an earlier start left.
  WorkFile& open_work(FactorGrid grid, std::size_t panel_bytes);
  /// Block columns on disk; 0 without OUT.work.
  Index num_kept() const { return work_ ? work_->num_kept() : 0; }

  /// Writes the output and removes the rest. No call may follow.
  void finish(const hdf5::FileImage& image);

  /// What was kept last, by this start or an earlier one; empty: nothing was. With keeps_state.
  std::string state_path() const;
  /// Replaces it, in one step.
  void keep_state(const hdf5::FileImage& image);
  /// What was kept last becomes the output. No call may follow.
  void finish_with_state();

  /// Removes what there is of the run: its inputs make no output.
  void abandon();

  /// Hash over the facts, as the output has it (attribute `fingerprint`).
  static std::string fingerprint(const std::vector<SpecFact>& facts);
  static std::string work_path(const std::string& out_path, const std::string& work_folder);

 private:
  void start();
  void refuse_what_is_there(std::optional<File>& journal);
  bool holds_nothing(std::optional<File>& journal) const;
  void create(std::optional<File> old_journal);
  void resume(File file);
  bool is_output_of_this_run() const;
  void write_file(const hdf5::FileImage& image, const std::string& path);
  void publish();
  void remove_leftovers();

  SolveFileOptions options_;
  FileSystem& system_;
  RunPaths paths_;
  std::string work_path_;
  std::vector<SpecFact> facts_;
  std::string created_;
  OutputLock lock_;
  std::optional<Journal> journal_;
  File work_file_;
  std::unique_ptr<WorkFile> work_;
};

}  // namespace gramtile
