#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace distill {

// The crop of a picture, as lib/data/decode.ts describes it. All of its bytes are written.
struct JpegCrop {
  int64_t size;        // side of the square, in pixels
  int64_t max_pixels;  // of the whole picture, before anything is allocated for it
  uint8_t* pixels;     // (size, size, 3) RGB
};

// Takes the centre crop of an ordinary JPEG with the values that Pillow reads. Only the crop is
// transformed and converted. All the rest is entropy-decoded, so that damage shows there too.
//
// False where the file is something else, be it CMYK, damaged, irregular in the least, too large or
// absent: then the pixels hold anything, and sharp is to judge what the file is.
bool crop_jpeg(const uint8_t* data, size_t length, const JpegCrop& crop);
bool crop_jpeg_file(const std::string& path, const JpegCrop& crop);

}  // namespace distill
