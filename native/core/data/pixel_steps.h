#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "core/names.h"

namespace distill {

// The filters that Pillow resamples with. All but `nearest` are antialiased when a side shrinks.
enum class Interpolation { bilinear, bicubic, lanczos, box, nearest };
inline constexpr Named<Interpolation> interpolations[] = {{"bilinear", Interpolation::bilinear},
                                                          {"bicubic", Interpolation::bicubic},
                                                          {"lanczos", Interpolation::lanczos},
                                                          {"box", Interpolation::box},
                                                          {"nearest", Interpolation::nearest}};

// The rounding of half of the surplus that a crop takes away at the start of a side: to the even
// number as torchvision, or down as Hugging Face's image processors.
enum class CropRounding { even, down };
inline constexpr Named<CropRounding> crop_roundings[] = {{"even", CropRounding::even},
                                                         {"down", CropRounding::down}};

// The steps from a decoded picture to the pixels of a network's input, in this order, as
// lib/model/preprocessing.ts describes them. All sizes are in pixels.
struct PixelSteps {
  int orientation;              // 1..8, as EXIF numbers them: turns the picture upright
  std::vector<int64_t> resize;  // empty: none; one: the shorter side; two: height and width
  Interpolation interpolation;
  std::array<int64_t, 4> padding;  // black pixels on the left, top, right and bottom
  bool crop;                       // cuts out the middle; without it, the size is right already
  CropRounding crop_rounding;
  int64_t image_size;  // side of the square that results
};

// The reason why a picture cannot be resized; what() completes "The picture … is not read: it".
struct UnfitPicture : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// One pixel of the output along a side: the weighted sum of `count` neighbours of the picture.
struct Output {
  int64_t from;  // the first of them
  int32_t count;
  int32_t to;      // place in the output
  size_t weights;  // of the first of them, in Axis::weights
};

// Bits of the weights' fixed-point numbers behind the point, as in Pillow.
inline constexpr int weight_bits = 32 - 8 - 2;

// Everything that happens along one side of a stored picture.
struct Axis {
  std::vector<Output> outputs;   // those that are not black, in the order of the picture's pixels
  std::vector<int32_t> weights;  // fixed-point
  int64_t from, end;             // the picture's pixels that are needed: one at least
  bool is_copy;                  // outputs are pixels, and neighbours stay neighbours
};

// The steps of a picture of one size. A turned picture is not moved: its axes run backwards, or are
// swapped.
struct PixelPlan {
  Axis columns, rows;  // of the stored picture
  bool transposed;     // its columns are rows of the output
  bool rows_first;     // it is resampled from row to row before it is along each row
};

// Throws UnfitPicture, and std::invalid_argument where there is no crop and the output has another
// size.
PixelPlan plan_pixels(int64_t width, int64_t height, const PixelSteps& steps);

}  // namespace distill
