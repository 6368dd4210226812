#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "core/data/pixel_steps.h"

namespace distill {

// What a network's pixels are made of.
struct JpegTask {
  PixelSteps steps;
  int64_t max_pixels;  // of the whole picture, before anything is allocated for it
  uint8_t* pixels;     // (image_size, image_size, 3) RGB
};

// Makes the pixels of a network's input of an ordinary JPEG, with the values that Pillow reads.
// Only the part that is seen is transformed and converted. All the rest is entropy-decoded, so that
// damage shows there too.
//
// False where the file is something else, be it CMYK, damaged, irregular in the least, too large or
// absent: then the pixels hold anything, and sharp is to judge what the file is.
bool read_jpeg(const uint8_t* data, size_t length, const JpegTask& task);
bool read_jpeg_file(const std::string& path, const JpegTask& task);

}  // namespace distill
