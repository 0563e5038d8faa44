// How a run begins: which files are there, who holds them, and what that means for the start mode.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "io/files/file.hpp"
#include "io/hdf5/file_builder.hpp"
#include "io/run/spec/run_spec.hpp"
#include "io/run/spec/seal.hpp"
#include "io/run/write/journal.hpp"
#include "io/run/write/output_lock.hpp"
#include "io/run/write/run_options.hpp"
#include "io/run/write/run_paths.hpp"

namespace gramtile {

/// A run that can go on: files open and locked, or finished already.
struct StartedRun {
  OutputLock lock;                 ///< first: let go last
  std::optional<Journal> journal;  ///< empty: already finished
  File partial;
  std::vector<hdf5::RawData> places;
  Seal seal;             ///< of the file as it was created
  bool replace = false;  ///< an existing output may be replaced
};

/// Creates or continues. On continuing, `spec` takes over the provenance of the first start, and
/// its instruction set too where options.mixed_instruction_sets lets them differ; spec.mixture has
/// the names then. Throws as RunWriter's constructor says.
StartedRun start_run(FileSystem& system, const RunPaths& paths, RunSpec& spec,
                     const RunOptions& options);

}  // namespace gramtile
