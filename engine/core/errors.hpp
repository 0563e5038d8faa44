// What ends a run: one exception type with a kind, the fields that were known, and one line a user
// can act on. engine and io throw; only apps turn an error into a line on stderr and an exit code.
#pragma once

#include <stdexcept>
#include <string>

namespace gramtile {

/// What went wrong, as coarse as an exit code. apps/ holds the table from kind to exit code.
enum class ErrorKind {
  kOther,          ///< anything without a kind of its own (a kernel entry that is not finite)
  kUsage,          ///< contradictory or impossible arguments
  kIo,             ///< a file call failed
  kLocked,         ///< another process writes this output
  kResumeRefused,  ///< the inputs differ from those of the interrupted run
  kPartMissing,    ///< a shard or part is missing or damaged
  kUnfinishedRun,  ///< an unfinished run is in the way
  kNoSpace,        ///< the disk is full
  kNetwork,        ///< the network is malformed, or does not fit the images
  kData,           ///< a data file is not what it claims to be
  kCannotCreate,   ///< the output exists or cannot be created
  kInterrupted,    ///< stopped by the user; resumable
};

/// Base of everything the project throws on purpose. `what()` is one line: what, where, what to do.
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const { return kind_; }

 private:
  ErrorKind kind_;
};

/// A network that cannot be used. `where` is a path into the file, e.g. `layers[3].kernel_size`.
struct NetworkError : Error {
  NetworkError(const std::string& where_, const std::string& problem)
      : Error(ErrorKind::kNetwork, where_.empty() ? problem : where_ + ": " + problem),
        where(where_) {}
  std::string where;
};

/// A data file that is not what it claims to be. `file` as the user named it; `problem` says
/// offset, expected and found where they are known.
struct DataError : Error {
  DataError(const std::string& file_, const std::string& problem)
      : Error(ErrorKind::kData, file_ + ": " + problem), file(file_) {}
  std::string file;
};

/// A file call that failed. `error_number` is errno; ENOSPC and EDQUOT become kNoSpace.
struct IoError : Error {
  IoError(const std::string& file, const std::string& operation, int error_number_);
  int error_number;
};

}  // namespace gramtile
