#include "engine/core/errors.hpp"

#include <cerrno>
#include <system_error>

namespace gramtile {
namespace {

ErrorKind kind_of(int error_number) {
  return error_number == ENOSPC || error_number == EDQUOT ? ErrorKind::kNoSpace : ErrorKind::kIo;
}

}  // namespace

IoError::IoError(const std::string& file, const std::string& operation, int error_number_)
    : Error(kind_of(error_number_),
            file + ": " + operation + ": " + std::generic_category().message(error_number_)),
      error_number(error_number_) {}

}  // namespace gramtile
