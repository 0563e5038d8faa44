#include "io/hdf5/handle.hpp"

#include <string_view>

namespace gramtile::hdf5 {
namespace {

herr_t keep_innermost(unsigned, const H5E_error2_t* error, void* text) {
  if (error->desc != nullptr) *static_cast<std::string*>(text) = error->desc;
  return 0;
}

bool alone = false;

// Never destroyed: handles of static objects may close after main().
std::recursive_mutex& own_mutex() {
  static auto* mutex = new std::recursive_mutex;
  return *mutex;
}

herr_t look_for_mismatch(unsigned, const H5E_error2_t* error, void* found) {
  if (error->desc == nullptr) return 0;
  const std::string_view text = error->desc;
  for (const std::string_view words : {"file locking", "file close degree"})
    if (text.find(words) != std::string_view::npos) *static_cast<bool*>(found) = true;
  return 0;
}

/// Whether the library's error is that the file is open with another locking or close degree.
bool is_open_otherwise() {
  bool found = false;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_DOWNWARD, look_for_mismatch, &found);
  return found;
}

/// Per thread: a library that is built for threads keeps errors, and what is done about them, for
/// each.
void silence_errors() {
  static thread_local const bool silent =
      (H5open(), H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr), true);
  static_cast<void>(silent);
}

}  // namespace

LibraryLock::LibraryLock() {
  if (alone) return;
  own_ = std::unique_lock(own_mutex());
  silence_errors();
  H5PLget_loading_state(&plugins_);
  H5PLset_loading_state(0);  // a file can name a filter plugin; none is ever loaded
}

LibraryLock::~LibraryLock() {
  if (own_.owns_lock()) H5PLset_loading_state(plugins_);
}

void forget_library_lock() { alone = true; }

std::string take_library_error() {
  std::string text;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_DOWNWARD, keep_innermost, &text);
  H5Eclear2(H5E_DEFAULT);
  return text;
}

Handle::~Handle() {
  if (!valid()) return;
  const auto lock = library_lock();
  close_(id_);
}

Handle open_to_read(const char* path) {
  struct Locking {
    bool use, ignore_where_there_is_none;
  };
  constexpr Locking kLockings[] = {{false, true}, {true, true}, {true, false}, {false, false}};
  const Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  for (const H5F_close_degree_t degree :
       {H5F_CLOSE_STRONG, H5F_CLOSE_DEFAULT, H5F_CLOSE_SEMI, H5F_CLOSE_WEAK}) {
    H5Pset_fclose_degree(access.id(), degree);
    for (const Locking& locking : kLockings) {
      H5Pset_file_locking(access.id(), locking.use, locking.ignore_where_there_is_none);
      Handle file(H5Fopen(path, H5F_ACC_RDONLY, access.id()), H5Fclose);
      if (file.valid() || !is_open_otherwise()) return file;
    }
  }
  return {};
}

}  // namespace gramtile::hdf5
