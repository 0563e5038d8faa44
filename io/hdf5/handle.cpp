#include "io/hdf5/handle.hpp"

namespace gramtile::hdf5 {
namespace {

herr_t keep_innermost(unsigned, const H5E_error2_t* error, void* text) {
  if (error->desc != nullptr) *static_cast<std::string*>(text) = error->desc;
  return 0;
}

bool alone = false;

void prepare_library() {
  H5open();
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  H5PLset_loading_state(0);  // a file can name a filter plugin; none is ever loaded
}

}  // namespace

std::unique_lock<std::recursive_mutex> library_lock() {
  // Never destroyed: handles of static objects may close after main().
  static auto* mutex = new std::recursive_mutex;
  if (alone) return {};
  std::unique_lock lock(*mutex);
  static const bool prepared = (prepare_library(), true);
  static_cast<void>(prepared);
  return lock;
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

}  // namespace gramtile::hdf5
