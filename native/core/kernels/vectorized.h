#pragma once

#include <bit>
#include <cstdint>

#include "core/versions.h"

// The means by which the compiler vectorises loops in plain C++, for each kind of processor.

namespace distill::rows {

// The value or 0, by a mask: from `condition ? value : 0` the compiler may make a branch, and a
// loop with a branch is not vectorised, which makes it fifteen times as slow.
[[gnu::always_inline]] inline float keep_if(bool condition, float value) {
  const uint32_t mask = -static_cast<uint32_t>(condition);
  return std::bit_cast<float>(std::bit_cast<uint32_t>(value) & mask);
}

// ReLU and its derivative as PyTorch has them: NaN passes.
[[gnu::always_inline]] inline float relu(float value) {
  return keep_if(!(value <= 0), value);
}
[[gnu::always_inline]] inline float gate(float value, float g) {
  return keep_if(!(value <= 0), g);
}

}  // namespace distill::rows
