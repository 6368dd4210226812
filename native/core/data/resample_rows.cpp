#include "core/data/resample_rows.h"

#include <algorithm>

namespace distill {
namespace {

// Sums are of unsigned type so that they may overflow: what is cut off in the end is the same.
constexpr uint32_t half = uint32_t{1} << (weight_bits - 1);

uint8_t rounded(uint32_t sum) {
  return static_cast<uint8_t>(std::clamp(static_cast<int32_t>(sum) >> weight_bits, 0, 255));
}

}  // namespace

void resample_along(const uint8_t* row, const Axis& axis, uint8_t* out, int64_t step) {
  for (const Output& output : axis.outputs) {
    const uint8_t* from = row + 3 * (output.from - axis.from);
    const int32_t* weights = axis.weights.data() + output.weights;
    uint32_t red = half, green = half, blue = half;
    for (int32_t i = 0; i < output.count; ++i, from += 3) {
      const auto weight = static_cast<uint32_t>(weights[i]);
      red += weight * from[0];
      green += weight * from[1];
      blue += weight * from[2];
    }
    uint8_t* to = out + output.to * step;
    to[0] = rounded(red);
    to[1] = rounded(green);
    to[2] = rounded(blue);
  }
}

void resample_across(const uint8_t* const* rows, const int32_t* weights, int64_t count,
                     uint8_t* out, int64_t bytes) {
  constexpr int64_t most = 256;  // sums that stay in the nearest memory
  uint32_t sums[most];
  for (int64_t first = 0; first < bytes; first += most) {
    const int64_t length = std::min(most, bytes - first);
    std::fill_n(sums, length, half);
    for (int64_t i = 0; i < count; ++i) {
      const uint8_t* row = rows[i] + first;
      const auto weight = static_cast<uint32_t>(weights[i]);
      for (int64_t j = 0; j < length; ++j) sums[j] += weight * row[j];
    }
    for (int64_t j = 0; j < length; ++j) out[first + j] = rounded(sums[j]);
  }
}

}  // namespace distill
