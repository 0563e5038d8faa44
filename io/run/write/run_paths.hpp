// The names of the files of an output.
#pragma once

#include <string>

namespace gramtile {

struct RunPaths {
  std::string out;
  std::string partial;      ///< out + ".partial"
  std::string new_partial;  ///< out + ".partial.new": a file that cannot be opened yet
  std::string journal;      ///< out + ".journal"
  std::string new_journal;  ///< out + ".journal.new": a journal whose header is not whole yet
  std::string lock;         ///< out + ".lock": where the file system has no locks

  explicit RunPaths(const std::string& out_path);
};

}  // namespace gramtile
