// Which numbers of a network are differentiated, under which name and in which order, while the
// network is being lowered.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "engine/network/path.hpp"
#include "engine/network/program.hpp"

namespace gramtile {

/// Numbers get their index at once, in order of use. Named parameters follow behind the last
/// number, sorted by name, so their indices are known only at the end: until `resolve`, uses of
/// them hold a placeholder.
class ParameterTable {
 public:
  /// Keeps a reference to `named`. Throws NetworkError for a value that is no variance.
  explicit ParameterTable(const std::map<std::string, NamedParameter>& named);

  /// One use of `variance`, a parameter called `name` if it is a number.
  /// Throws NetworkError at `path`: unknown name, negative or not finite.
  VarianceUse use(const Variance& variance, const std::string& name, const Path& path);

  /// A number of its own; returns its index.
  Index add(const std::string& name, double value);

  /// Replaces placeholders in `program.ops` and fills `program.parameters`.
  /// Throws NetworkError when a named parameter has the name of a number.
  void resolve(Program& program);

 private:
  const std::map<std::string, NamedParameter>& named_;
  std::map<std::string, Index> named_index_;  // trainable ones: 0, 1, … in order of name
  std::vector<Parameter> numbers_;
};

}  // namespace gramtile
