#include "core/data/pixel_steps.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>

namespace distill {
namespace {

// Limits of a picture that is resized, in pixels. They bound the memory of the weights, which grows
// with the picture's side, and the time of the nearest neighbours, which grows with the output's.
constexpr int64_t max_side = int64_t{1} << 22, max_resized = int64_t{1} << 25;

// The part of a side that is seen: `count` pixels from `from` on, which go to `to` in the output.
struct Span {
  int64_t from, count, to;
};

// torchvision's CenterCrop, as `centerCrop` in lib/data/decode/image.ts, but for its rounding.
Span center_span(int64_t side, int64_t size, CropRounding rounding) {
  if (side < size) return {0, side, (size - side) / 2};
  const int64_t rest = side - size;
  const bool is_up = rounding == CropRounding::even && rest % 4 == 3;
  return {rest / 2 + is_up, size, 0};
}

Span visible_span(int64_t resized, int64_t before, int64_t after, const PixelSteps& steps) {
  const int64_t padded = before + resized + after, size = steps.image_size;
  if (!steps.crop && padded != size) {
    throw std::invalid_argument("without a crop, a side of " + std::to_string(padded) +
                                " pixels does not make an input of " + std::to_string(size));
  }
  const Span crop = center_span(padded, size, steps.crop_rounding);
  const int64_t first = std::max(crop.from, before);
  const int64_t end = std::min(crop.from + crop.count, before + resized);
  return {first - before, std::max<int64_t>(0, end - first), crop.to + first - crop.from};
}

struct Filter {
  double support;  // half its width, in pixels of the larger scale
  double (*value)(double x);
};

double box(double x) {
  return x > -0.5 && x <= 0.5 ? 1 : 0;
}

double bilinear(double x) {
  x = std::abs(x);
  return x < 1 ? 1 - x : 0;
}

double bicubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

double sinc(double x) {
  if (x == 0) return 1;
  x *= std::numbers::pi;
  return std::sin(x) / x;
}

double lanczos(double x) {
  return -3 <= x && x < 3 ? sinc(x) * sinc(x / 3) : 0;
}

Filter filter_of(Interpolation interpolation) {
  switch (interpolation) {
    case Interpolation::bilinear:
      return {1, bilinear};
    case Interpolation::bicubic:
      return {2, bicubic};
    case Interpolation::lanczos:
      return {3, lanczos};
    case Interpolation::box:
      return {0.5, box};
    default:
      throw std::invalid_argument("an interpolation without a filter");
  }
}

constexpr int32_t whole = int32_t{1} << weight_bits;

// Pillow's precompute_coeffs and normalize_coeffs_8bpc (libImaging/Resample.c), in the same order
// of operations, for the visible outputs alone.
void add_filtered(Axis& axis, int64_t side, int64_t resized, const Span& span,
                  const Filter& filter) {
  const double scale = static_cast<double>(static_cast<float>(side)) / static_cast<double>(resized);
  const double filter_scale = std::max(scale, 1.0);
  const double support = filter.support * filter_scale, step = 1.0 / filter_scale;
  std::vector<double> exact;
  for (int64_t i = 0; i < span.count; ++i) {
    const double center = (static_cast<double>(span.from + i) + 0.5) * scale;
    const auto from = std::max<int64_t>(0, static_cast<int64_t>(center - support + 0.5));
    const auto end = std::min(side, static_cast<int64_t>(center + support + 0.5));
    exact.clear();
    double sum = 0;
    for (int64_t x = from; x < end; ++x) {
      exact.push_back(filter.value((static_cast<double>(x) - center + 0.5) * step));
      sum += exact.back();
    }
    axis.outputs.push_back({from, static_cast<int32_t>(exact.size()),
                            static_cast<int32_t>(span.to + i), axis.weights.size()});
    for (double weight : exact) {
      if (sum != 0) weight /= sum;
      axis.weights.push_back(static_cast<int32_t>((weight < 0 ? -0.5 : 0.5) + weight * whole));
    }
  }
}

// Pillow's ImagingScaleAffine (libImaging/Geometry.c): positions are summed up, and one that comes
// to lie beyond the picture is black.
void add_nearest(Axis& axis, int64_t side, int64_t resized, const Span& span) {
  const double step = static_cast<double>(static_cast<float>(side)) / static_cast<double>(resized);
  double at = 0 + step * 0.5;
  for (int64_t i = 0; i < span.from; ++i) at += step;
  for (int64_t i = 0; i < span.count; ++i, at += step) {
    const auto from = static_cast<int64_t>(at);
    if (from < side) axis.outputs.push_back({from, 1, static_cast<int32_t>(span.to + i), 0});
  }
}

// Makes the axis run from the picture's end to its beginning.
void mirror(Axis& axis, int64_t side) {
  for (Output& output : axis.outputs) {
    output.from = side - output.from - output.count;
    if (output.count > 1) {
      const auto weights = axis.weights.begin() + static_cast<std::ptrdiff_t>(output.weights);
      std::reverse(weights, weights + output.count);
    }
  }
  std::reverse(axis.outputs.begin(), axis.outputs.end());
}

Axis make_axis(int64_t side, int64_t resized, const Span& span, Interpolation interpolation,
               bool mirrored) {
  Axis axis{{}, {whole}, 0, 1, side == resized && !mirrored};
  if (side == resized) {
    for (int64_t i = 0; i < span.count; ++i) {
      axis.outputs.push_back({span.from + i, 1, static_cast<int32_t>(span.to + i), 0});
    }
  } else if (interpolation == Interpolation::nearest) {
    add_nearest(axis, side, resized, span);
  } else {
    add_filtered(axis, side, resized, span, filter_of(interpolation));
  }
  if (mirrored) mirror(axis, side);
  if (!axis.outputs.empty()) {
    axis.from = axis.outputs.front().from;
    axis.end = axis.outputs.back().from + axis.outputs.back().count;
  }
  return axis;
}

struct Sides {
  int64_t width, height;
};

// torchvision's Resize.
Sides resized_sides(Sides sides, const std::vector<int64_t>& resize) {
  const auto [width, height] = sides;
  if (resize.empty()) return sides;
  if (std::max(width, height) > max_side) {
    throw UnfitPicture("is too long to be resized: " + std::to_string(width) + " x " +
                       std::to_string(height) + " pixels, and a side may have " +
                       std::to_string(max_side));
  }
  if (resize.size() == 2) return {resize[1], resize[0]};
  const int64_t shorter = std::min(width, height), longer = std::max(width, height);
  const auto other =
      static_cast<int64_t>(static_cast<double>(resize[0] * longer) / static_cast<double>(shorter));
  if (other > max_resized) {
    throw UnfitPicture("is too narrow to be resized: of " + std::to_string(width) + " x " +
                       std::to_string(height) + " pixels, the longer side would become " +
                       std::to_string(other) + ", and at most " + std::to_string(max_resized) +
                       " are made");
  }
  return width <= height ? Sides{resize[0], other} : Sides{other, resize[0]};
}

// The order of the two passes in Pillow 13 (ImagingResampleInner in libImaging/Resample.c), between
// which values are rounded to 8 bits.
bool is_vertical_first(Sides from, Sides to) {
  const int64_t lost = from.height - to.height;
  return lost > 0 && lost > 2 * (from.width - to.width);
}

}  // namespace

PixelPlan plan_pixels(int64_t width, int64_t height, const PixelSteps& steps) {
  const int turn = steps.orientation;
  const bool transposed = turn >= 5;
  const bool mirrored_columns = turn == 2 || turn == 3 || turn == 7 || turn == 8;
  const bool mirrored_rows = turn == 3 || turn == 4 || turn == 6 || turn == 7;
  const Sides upright = transposed ? Sides{height, width} : Sides{width, height};
  const Sides resized = resized_sides(upright, steps.resize);
  const auto [left, top, right, bottom] = steps.padding;
  Axis across =
      make_axis(upright.width, resized.width, visible_span(resized.width, left, right, steps),
                steps.interpolation, transposed ? mirrored_rows : mirrored_columns);
  Axis down =
      make_axis(upright.height, resized.height, visible_span(resized.height, top, bottom, steps),
                steps.interpolation, transposed ? mirrored_columns : mirrored_rows);
  if (transposed) std::swap(across, down);
  return {std::move(across), std::move(down), transposed,
          is_vertical_first(upright, resized) != transposed};
}

}  // namespace distill
