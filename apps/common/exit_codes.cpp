#include "apps/common/exit_codes.hpp"

namespace gramtile::apps {

int exit_code(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kOther:
      return 1;
    case ErrorKind::kUsage:
      return kExitUsage;
    case ErrorKind::kIo:
      return 5;
    case ErrorKind::kLocked:
      return 11;
    case ErrorKind::kResumeRefused:
      return 12;
    case ErrorKind::kPartMissing:
      return kExitPartMissing;
    case ErrorKind::kUnfinishedRun:
      return 14;
    case ErrorKind::kNoSpace:
      return 28;
    case ErrorKind::kNetwork:
      return 65;
    case ErrorKind::kData:
      return 66;
    case ErrorKind::kCannotCreate:
      return 73;
    case ErrorKind::kInterrupted:
      return 130;
  }
  return kExitBug;
}

std::string exit_code_help() {
  return "Exit codes:\n"
         "  0   done\n"
         "  1   another error (an entry of K that is not finite, a file that fails its check)\n"
         "  2   wrong use\n"
         "  5   I/O error, or an input that does not exist\n"
         "  11  another process is writing this output\n"
         "  12  resume refused: the inputs have changed\n"
         "  13  a shard or part is missing or damaged\n"
         "  14  an unfinished run is there: continue with --resume, start over with --overwrite\n"
         "  28  no space left\n"
         "  65  bad network\n"
         "  66  bad data file\n"
         "  70  a bug: please report it\n"
         "  73  the output exists or cannot be created\n"
         "  130 interrupted by Ctrl-C, 143 by SIGTERM, 128 + n by another signal n (SIGHUP, "
         "SIGUSR1,\n"
         "      SIGUSR2, SIGXCPU): what is finished is kept; continue with --resume\n";
}

}  // namespace gramtile::apps
