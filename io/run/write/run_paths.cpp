#include "io/run/write/run_paths.hpp"

#include "io/run/write/run_writer.hpp"

namespace gramtile {

RunPaths::RunPaths(const std::string& out_path)
    : out(out_path),
      partial(RunWriter::partial_path(out_path)),
      new_partial(partial + ".new"),
      journal(RunWriter::journal_path(out_path)),
      new_journal(journal + ".new"),
      lock(out_path + ".lock") {}

}  // namespace gramtile
