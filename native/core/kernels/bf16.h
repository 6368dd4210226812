#pragma once

#include <bit>
#include <cstdint>

namespace distill {

// A bfloat16: the upper half of a float. Activations are stored as float or Bf16; all arithmetic
// is float's.
struct Bf16 {
  uint16_t bits;
};

[[gnu::always_inline]] inline float load(float value) {
  return value;
}
[[gnu::always_inline]] inline float load(Bf16 value) {
  return std::bit_cast<float>(static_cast<uint32_t>(value.bits) << 16);
}
[[gnu::always_inline]] inline void store(float& to, float value) {
  to = value;
}
// Rounds to the nearest, halves to even; NaN stays NaN.
[[gnu::always_inline]] inline void store(Bf16& to, float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t nearest = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  to.bits = static_cast<uint16_t>(value != value ? 0x7fc0 : nearest);
}

}  // namespace distill
