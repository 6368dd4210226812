#include "core/data/resample.h"

#include <algorithm>
#include <cstring>
#include <iterator>

namespace distill {
namespace {

int64_t longest(const Axis& axis) {
  int32_t count = 1;
  for (const Output& output : axis.outputs) count = std::max(count, output.count);
  return count;
}

// The place of the first output of an axis that is not black.
int64_t first_of(const Axis& axis) {
  return std::min(axis.outputs.front().to, axis.outputs.back().to);
}

}  // namespace

Resampler::Resampler(int64_t width, int64_t height, const PixelSteps& steps, uint8_t* pixels)
    : plan_(plan_pixels(width, height, steps)),
      along_(plan_.columns),
      size_(steps.image_size),
      pixels_(pixels),
      row_(plan_.rows.from),
      line_bytes_(3 * (plan_.rows_first ? plan_.columns.end - plan_.columns.from
                                        : std::ssize(plan_.columns.outputs))),
      longest_(longest(plan_.rows)),
      held_(longest_ + together - 1) {
  const auto size = static_cast<size_t>(size_);
  if (plan_.columns.outputs.size() < size || plan_.rows.outputs.size() < size) {
    std::memset(pixels, 0, size * size * 3);
  }
  lines_.resize(static_cast<size_t>(held_ * line_bytes_));
  line_.resize(static_cast<size_t>(line_bytes_));
  under_.resize(static_cast<size_t>(longest_));
}

void Resampler::add_rows(const uint8_t* const* rows, int count) {
  const Axis& columns = plan_.columns;
  if (columns.outputs.empty()) return;
  // What is resampled from row to row: the rows themselves, or the outputs along them.
  const uint8_t* lines[together] = {};
  if (!plan_.rows_first && !columns.is_copy) {
    uint8_t* outs[together] = {};
    for (int i = 0; i < count; ++i) {
      lines[i] = held(row_ + i);
      outs[i] = held(row_ + i) - 3 * first_of(columns);
    }
    along_(rows, outs, count, 3);
  } else {
    // Pixels that are copied are all that is needed.
    for (int i = 0; i < count; ++i) {
      lines[i] = rows[i];
      if (longest_ > 1) {
        std::memcpy(held(row_ + i), rows[i], static_cast<size_t>(line_bytes_));
      }
    }
  }
  const std::vector<Output>& outputs = plan_.rows.outputs;
  for (int i = 0; i < count; ++i) {
    ++row_;
    for (; next_ < outputs.size() && outputs[next_].from + outputs[next_].count <= row_; ++next_) {
      finish(outputs[next_], lines[i]);
    }
  }
}

// Makes the output of a row, of which `line` is the last of the lines under the filter.
void Resampler::finish(const Output& output, const uint8_t* line) {
  const Axis& columns = plan_.columns;
  uint8_t* pixels = pixels_ + 3 * output.to * (plan_.transposed ? 1 : size_);
  const int64_t step = 3 * (plan_.transposed ? size_ : 1);
  const bool is_direct = !plan_.rows_first && !plan_.transposed;
  uint8_t* to = is_direct ? pixels + 3 * first_of(columns) : line_.data();
  if (output.count == 1) {
    // Its weight is one.
    std::memcpy(to, line, static_cast<size_t>(line_bytes_));
  } else {
    for (int64_t i = 0; i < output.count; ++i) {
      under_[i] = held(output.from + i);
    }
    resample_across(under_.data(), plan_.rows.weights.data() + output.weights, output.count, to,
                    line_bytes_);
  }
  if (plan_.rows_first) {
    const uint8_t* row = line_.data();
    along_(&row, &pixels, 1, step);
  } else if (plan_.transposed) {
    pixels += step * first_of(columns);
    for (int64_t i = 0; i < line_bytes_; i += 3, pixels += step) {
      std::memcpy(pixels, line_.data() + i, 3);
    }
  }
}

}  // namespace distill
