#pragma once

#include "core/data/pixel_steps.h"
#include "node/read.h"

namespace distill::node {

// The largest number of pixels that a side is resized to or padded with by its option.
inline constexpr int64_t max_resize = int64_t{1} << 20;

// Reads NativePixelSteps of lib/native.ts.
inline PixelSteps read_pixel_steps(const Fields& options) {
  const Fields fields(options.get("steps"), "steps");
  PixelSteps steps{};
  steps.orientation = static_cast<int>(read_int(fields, "orientation", 1, 8));
  if (const Napi::Value resize = fields.get("resize"); !resize.IsNull()) {
    const auto sides = read_list(resize, "resize");
    if (sides.Length() != 1 && sides.Length() != 2) {
      throw wrong_type(fields.env(), "resize", "a list of one or two sides, or null");
    }
    for (uint32_t i = 0; i < sides.Length(); ++i) {
      steps.resize.push_back(read_int(sides.Get(i), "resize", 1, max_resize));
    }
  }
  steps.interpolation = read_named(fields, "interpolation", interpolations);
  const auto padding = read_list(fields.get("padding"), "padding");
  if (padding.Length() != 4) throw wrong_type(fields.env(), "padding", "a list of four numbers");
  for (uint32_t i = 0; i < 4; ++i) {
    steps.padding[i] = read_int(padding.Get(i), "padding", 0, max_resize);
  }
  steps.crop = read_bool(fields, "crop");
  steps.crop_rounding = read_named(fields, "cropRounding", crop_roundings);
  steps.image_size = read_int(fields, "imageSize", 1, max_side);
  fields.refuse_others();
  return steps;
}

// Reads the pixels to be filled, (image_size, image_size, 3).
inline Napi::Uint8Array read_crop(const Fields& options, const PixelSteps& steps) {
  auto crop = read_array<Napi::Uint8Array>(options, "pixels");
  if (count_pictures(crop, steps.image_size) != 1) {
    throw out_of_range(options.env(), "pixels are not those of one picture");
  }
  return crop;
}

}  // namespace distill::node
