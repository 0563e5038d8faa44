// Where in a network something stands, for messages: `layers[0].branches[1][2].var_weight`.
#pragma once

#include <string>
#include <string_view>

#include "engine/core/index.hpp"

namespace gramtile {

/// One step of a path; steps link to their parents, and text is made only when somebody asks.
/// A child refers to its parent and must not outlive it.
class Path {
 public:
  Path() = default;

  /// `.key`
  Path at(std::string_view key) const { return Path(this, key, kNone); }
  /// `.key[index]`
  Path at(std::string_view key, Index index) const { return Path(this, key, index); }
  /// `[index]`
  Path at(Index index) const { return Path(this, {}, index); }

  std::string text() const;

 private:
  static constexpr Index kNone = -1;
  Path(const Path* parent, std::string_view key, Index index)
      : parent_(parent), key_(key), index_(index) {}

  const Path* parent_ = nullptr;
  std::string_view key_;
  Index index_ = kNone;
};

}  // namespace gramtile
