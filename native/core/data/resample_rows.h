#pragma once

#include <cstdint>
#include <vector>

#include "core/data/pixel_steps.h"

namespace distill {

// Resamples rows of RGB along themselves, two at once where there are two, so that each weight is
// loaded once for both.
class AlongRows {
 public:
  explicit AlongRows(const Axis& axis);

  // Writes the pixel of each output to out + to * step. rows: the needed columns.
  void operator()(const uint8_t* const* rows, uint8_t* const* outs, int count, int64_t step) const;

 private:
  const Axis& axis_;
  std::vector<int16_t> packed_;  // the weights as instructions of the processor take them, if so
};

// Resamples from row to row: each of `bytes` values of `out` is the weighted sum of those at the
// same place in `count` rows.
void resample_across(const uint8_t* const* rows, const int32_t* weights, int64_t count,
                     uint8_t* out, int64_t bytes);

}  // namespace distill
