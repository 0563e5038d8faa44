// Elements of a view, at any address.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "engine/core/views.hpp"

namespace gramtile {

template <class T>
T load_element(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

template <class T>
void store_element(std::byte* at, T value) {
  std::memcpy(at, &value, sizeof value);
}

/// Writes `count` elements of type T, `stride` bytes apart from `from` on, to `to` as double.
template <class T>
void load_elements(const std::byte* from, Index stride, Index count, double* to) {
  constexpr Index kSize = sizeof(T);
  if (stride == kSize) {  // said as a constant: the loop then reads vectors
    for (Index i = 0; i < count; ++i)
      to[i] = static_cast<double>(load_element<T>(from + i * kSize));
  } else {
    for (Index i = 0; i < count; ++i)
      to[i] = static_cast<double>(load_element<T>(from + i * stride));
  }
}

}  // namespace gramtile
