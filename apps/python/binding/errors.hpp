// The engine's errors as Python's: each kind has a class in gramtile/errors.py.
#pragma once

namespace gramtile::python {

/// From now on, what calls throw reaches Python as a class of gramtile.errors, its message the line
/// that the commands print.
void translate_errors();

}  // namespace gramtile::python
