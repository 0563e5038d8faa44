#include "apps/python/binding/errors.hpp"

#include <nanobind/nanobind.h>

#include <system_error>

#include "engine/core/errors.hpp"

namespace gramtile::python {
namespace {

namespace nb = nanobind;

const char* class_name(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kOther:
      return "ComputationError";
    case ErrorKind::kUsage:
      return "UsageError";
    case ErrorKind::kIo:
      return "FileError";
    case ErrorKind::kLocked:
      return "LockedError";
    case ErrorKind::kResumeRefused:
      return "ResumeRefusedError";
    case ErrorKind::kPartMissing:
      return "PartMissingError";
    case ErrorKind::kUnfinishedRun:
      return "UnfinishedRunError";
    case ErrorKind::kNoSpace:
      return "NoSpaceError";
    case ErrorKind::kNetwork:
      return "NetworkError";
    case ErrorKind::kData:
      return "DataError";
    case ErrorKind::kCannotCreate:
      return "CannotCreateError";
    case ErrorKind::kInterrupted:
      return "InterruptedRunError";
  }
  return "ComputationError";
}

/// Sets Python's error: an object of gramtile.errors, with the fields that are known.
void raise(const char* name, const char* message, const char* field = nullptr,
           const nb::object& value = {}) {
  const nb::object type = nb::module_::import_("gramtile.errors").attr(name);
  const nb::object error = type(message);
  if (field != nullptr) error.attr(field) = value;
  PyErr_SetObject(type.ptr(), error.ptr());
}

void translate(const std::exception_ptr& pointer, void*) {
  try {
    std::rethrow_exception(pointer);
  } catch (const NetworkError& error) {
    raise("NetworkError", error.what(), "where", nb::str(error.where.c_str()));
  } catch (const DataError& error) {
    raise("DataError", error.what(), "file", nb::str(error.file.c_str()));
  } catch (const IoError& error) {
    raise(class_name(error.kind()), error.what(), "errno", nb::int_(error.error_number));
  } catch (const Error& error) {
    raise(class_name(error.kind()), error.what());
  } catch (const std::system_error& error) {
    raise("FileError", error.what(), "errno", nb::int_(error.code().value()));
  }
}

}  // namespace

void translate_errors() { nb::register_exception_translator(translate); }

}  // namespace gramtile::python
