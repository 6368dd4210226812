#pragma once

#include <cstdint>

#include "core/data/pixel_steps.h"

namespace distill {

// Resamples one row of RGB: the pixel of each output goes to out + to * step. row: the needed
// columns.
void resample_along(const uint8_t* row, const Axis& axis, uint8_t* out, int64_t step);

// Resamples from row to row: each of `bytes` values of `out` is the weighted sum of those at the
// same place in `count` rows.
void resample_across(const uint8_t* const* rows, const int32_t* weights, int64_t count,
                     uint8_t* out, int64_t bytes);

}  // namespace distill
