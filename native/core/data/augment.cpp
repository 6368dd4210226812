#include "core/data/augment.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <cstring>

namespace distill {
namespace {

// SplitMix64 (Steele, Lea and Flood 2014): any seed gives good numbers from the first on.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t next() {
    uint64_t z = state_ += 0x9E3779B97F4A7C15;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
  }
  // Draws a number in [low, high).
  double uniform(double low, double high) {
    return low + (high - low) * (static_cast<double>(next() >> 11) * 0x1.0p-53);
  }
  // Draws one of 0 … count - 1.
  int64_t below(int64_t count) {
    return static_cast<int64_t>(uniform(0, static_cast<double>(count)));
  }

 private:
  uint64_t state_;
};

// torchvision's RandomResizedCrop.get_params, of a square.
Window draw_box(Random& random, int64_t side, double min_scale) {
  const auto area = static_cast<double>(side * side);
  for (int attempt = 0; attempt < 10; ++attempt) {
    const double target = area * random.uniform(min_scale, 1);
    const double ratio = std::exp(random.uniform(std::log(3.0 / 4), std::log(4.0 / 3)));
    const auto width = static_cast<int64_t>(std::nearbyint(std::sqrt(target * ratio)));
    const auto height = static_cast<int64_t>(std::nearbyint(std::sqrt(target / ratio)));
    if (width < 1 || width > side || height < 1 || height > side) continue;
    const int64_t top = random.below(side - height + 1);
    return {random.below(side - width + 1), top, width, height};
  }
  return {0, 0, side, side};
}

// The place of an output pixel in a side that is resized: two pixels and the weight of the second.
struct Place {
  Place(int64_t index, int64_t side, int64_t to) {
    const float scale = static_cast<float>(side) / static_cast<float>(to);
    const float at = std::max(scale * (static_cast<float>(index) + 0.5F) - 0.5F, 0.0F);
    first = std::min(static_cast<int64_t>(at), side - 1);
    second = std::min(first + 1, side - 1);
    weight = std::min(at - static_cast<float>(first), 1.0F);
  }
  int64_t first, second;
  float weight;
};

}  // namespace

Window draw_window(const Augmentation& augmentation, int64_t from, int64_t to, uint64_t seed,
                   uint64_t epoch, uint64_t picture) {
  Random random(Random(Random(Random(seed).next() ^ epoch).next() ^ picture).next());
  Window window{(from - to) / 2, (from - to) / 2, to, to};
  if (augmentation.crop == Augmentation::Crop::random) {
    const int64_t padding = from > to ? 0 : to / 8;
    const int64_t places = from + 2 * padding - to + 1;
    window.top = random.below(places) - padding;
    window.left = random.below(places) - padding;
  } else if (augmentation.crop == Augmentation::Crop::resized) {
    window = draw_box(random, from, augmentation.min_scale);
  }
  window.flip = augmentation.flip && random.next() % 2 == 1;
  return window;
}

void cut_row(const uint8_t* picture, int64_t from, const Window& window, int64_t to, int64_t y,
             uint8_t* row) {
  if (window.width == to && window.height == to) {
    const int64_t source = window.top + y;
    const int64_t first = std::max<int64_t>(window.left, 0);
    const int64_t last = std::min(window.left + to, from);
    const bool inside = source >= 0 && source < from && first < last;
    if (!inside || last - first < to) std::memset(row, 0, 3 * to);
    if (inside) {
      std::memcpy(row + 3 * (first - window.left), picture + 3 * (source * from + first),
                  3 * (last - first));
    }
  } else {
    const Place down(y, window.height, to);
    const uint8_t* const upper = picture + 3 * ((window.top + down.first) * from + window.left);
    const uint8_t* const lower = picture + 3 * ((window.top + down.second) * from + window.left);
    for (int64_t x = 0; x < to; ++x) {
      const Place across(x, window.width, to);
      for (int64_t c = 0; c < 3; ++c) {
        const auto along = [&](const uint8_t* of) {
          return (1 - across.weight) * static_cast<float>(of[3 * across.first + c]) +
                 across.weight * static_cast<float>(of[3 * across.second + c]);
        };
        const float value = (1 - down.weight) * along(upper) + down.weight * along(lower);
        row[3 * x + c] = static_cast<uint8_t>(value + 0.5F);
      }
    }
  }
  if (!window.flip) return;
  for (int64_t left = 0, right = to - 1; left < right; ++left, --right) {
    for (int64_t c = 0; c < 3; ++c) std::swap(row[3 * left + c], row[3 * right + c]);
  }
}

at::Tensor to_tensor(const std::vector<Window>& windows, bool resized) {
  const int64_t values = resized ? 5 : 3;
  const at::Tensor tensor = at::empty({static_cast<int64_t>(windows.size()), values}, at::kLong);
  auto* row = tensor.mutable_data_ptr<int64_t>();
  for (const Window& window : windows) {
    const int64_t all[] = {window.left, window.top, window.flip, window.width, window.height};
    row = std::copy_n(all, values, row);
  }
  return tensor;
}

Window window_at(const at::Tensor& windows, int64_t i, int64_t to) {
  const int64_t* const row = windows.const_data_ptr<int64_t>() + i * windows.size(1);
  const bool resized = windows.size(1) == 5;
  return {row[0], row[1], resized ? row[3] : to, resized ? row[4] : to, row[2] != 0};
}

at::Tensor cut_windows(const at::Tensor& pictures, const at::Tensor& indices,
                       const at::Tensor& windows, int64_t to) {
  if (!pictures.is_cpu()) return cut_windows_by_operators(pictures, indices, windows, to);
  const int64_t from = pictures.size(1);
  const at::Tensor cut = at::empty({indices.size(0), to, to, 3}, at::kByte);
  const uint8_t* const picture = pictures.const_data_ptr<uint8_t>();
  const int64_t* const index = indices.const_data_ptr<int64_t>();
  uint8_t* const result = cut.mutable_data_ptr<uint8_t>();
  at::parallel_for(0, indices.size(0) * to, 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      cut_row(picture + index[row / to] * from * from * 3, from, window_at(windows, row / to, to),
              to, row % to, result + row * to * 3);
    }
  });
  return cut;
}

namespace {

// Place, of all output pixels of all windows along one side: (B, to) each.
struct Places {
  Places(const at::Tensor& start, const at::Tensor& index, const at::Tensor& side, int64_t to) {
    const at::Tensor scale = side.to(at::kFloat) / static_cast<float>(to);
    const at::Tensor at = (scale * (index.to(at::kFloat) + 0.5F) - 0.5F).clamp_min(0);
    const at::Tensor last = side - 1, below = at::minimum(at.to(at::kLong), last);
    first = start + below;
    second = start + at::minimum(below + 1, last);
    weight = (at - below).clamp_max(1);
  }
  at::Tensor first, second, weight;
};

}  // namespace

at::Tensor cut_windows_by_operators(const at::Tensor& pictures, const at::Tensor& indices,
                                    const at::Tensor& windows, int64_t to) {
  const int64_t from = pictures.size(1);
  const auto column = [&](int64_t i) { return windows.select(1, i).unsqueeze(1); };  // (B, 1)
  const at::Tensor down = at::arange(to, windows.options()).unsqueeze(0);            // (1, to)
  const at::Tensor across = at::where(column(2).ne(0), to - 1 - down, down);         // (B, to)
  const at::Tensor picture = indices.view({-1, 1, 1});
  // The pixels where rows (B, to) and columns (B, to) cross: (B, to, to, 3).
  const auto cross = [&](const at::Tensor& rows, const at::Tensor& columns) {
    return pictures.index({picture, rows.unsqueeze(2), columns.unsqueeze(1)});
  };
  if (windows.size(1) == 3) {
    const at::Tensor rows = column(1) + down, columns = column(0) + across;
    const auto inside = [&](const at::Tensor& at) { return at.ge(0).logical_and_(at.lt(from)); };
    const at::Tensor seen = inside(rows).unsqueeze(2).logical_and(inside(columns).unsqueeze(1));
    return cross(rows.clamp(0, from - 1), columns.clamp(0, from - 1)).mul_(seen.unsqueeze(3));
  }
  const Places x(column(0), across, column(3), to), y(column(1), down, column(4), to);
  const at::Tensor right = x.weight.unsqueeze(1).unsqueeze(3);  // (B, 1, to, 1)
  const at::Tensor lower = y.weight.unsqueeze(2).unsqueeze(3);  // (B, to, 1, 1)
  const auto along = [&](const at::Tensor& rows) {
    return (1 - right) * cross(rows, x.first) + right * cross(rows, x.second);
  };
  return ((1 - lower) * along(y.first) + lower * along(y.second) + 0.5F).to(at::kByte);
}

}  // namespace distill
