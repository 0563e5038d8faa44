#include "engine/network/path.hpp"

namespace gramtile {

std::string Path::text() const {
  std::string result = parent_ == nullptr ? std::string() : parent_->text();
  if (!key_.empty()) {
    if (!result.empty()) {
      result += '.';
    }
    result += key_;
  }
  if (index_ != kNone) {
    result += '[' + std::to_string(index_) + ']';
  }
  return result;
}

}  // namespace gramtile
