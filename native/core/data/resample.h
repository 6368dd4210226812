#pragma once

#include <cstdint>
#include <vector>

#include "core/data/pixel_steps.h"
#include "core/data/resample_rows.h"

namespace distill {

// Makes the pixels of a network's input of a picture that comes row by row, with Pillow's values:
// it resamples in one direction, rounds to 8 bits, then in the other. Only what is seen is
// computed, and of the picture only the rows under the filter are held.
class Resampler {
 public:
  // pixels: (image_size, image_size, 3) RGB, all of which are written in the end. Throws as
  // plan_pixels.
  Resampler(int64_t width, int64_t height, const PixelSteps& steps, uint8_t* pixels);
  Resampler(const Resampler&) = delete;
  Resampler& operator=(const Resampler&) = delete;

  // The columns and rows of the stored picture that are needed.
  const Axis& columns() const { return plan_.columns; }
  const Axis& rows() const { return plan_.rows; }

  // Rows that are fastest handed over together.
  static constexpr int together = 2;
  // Takes the next `count` needed rows, at most `together`: RGB of the needed columns.
  void add_rows(const uint8_t* const* rows, int count);

 private:
  void finish(const Output& output, const uint8_t* line);
  uint8_t* held(int64_t row) { return lines_.data() + row % held_ * line_bytes_; }

  PixelPlan plan_;
  AlongRows along_;
  int64_t size_;
  uint8_t* pixels_;
  int64_t row_;                        // the next one's number in the picture
  size_t next_ = 0;                    // of the rows' outputs
  int64_t line_bytes_;                 // of what is resampled from row to row
  int64_t longest_;                    // lines under a filter
  int64_t held_;                       // lines
  std::vector<uint8_t> lines_;         // (held, line_bytes): that of row y is at y % held
  std::vector<uint8_t> line_;          // one that has been resampled from row to row
  std::vector<const uint8_t*> under_;  // the filter
};

}  // namespace distill
