#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

namespace distill {

// What is done to training pictures so that a network does not see the same pixels twice. Pictures
// are kept as squares of `from` pixels a side and cut to squares of `to`.
struct Augmentation {
  enum class Crop {
    center,  // the middle
    random,  // any place; where pictures are no larger than the input, they are first surrounded by
             // an eighth of their side of black, so that they shift
    resized,  // torchvision's RandomResizedCrop: a box of any place, size and ratio, resized
  };
  Crop crop = Crop::center;
  double min_scale = 0.08;  // the smallest box's share of the picture's area, of resized crops
  bool flip = false;        // left to right, every other picture

  bool operator==(const Augmentation&) const = default;
};

// A box of a picture, in its pixels (it may reach beyond the picture), that becomes the input.
struct Window {
  int64_t left = 0, top = 0, width = 0, height = 0;
  bool flip = false;
};

// The window of a picture in an epoch (or of one of its views), drawn from a seed: always the same,
// whatever else is drawn, in whatever order and by however many threads.
Window draw_window(const Augmentation& augmentation, int64_t from, int64_t to, uint64_t seed,
                   uint64_t epoch, uint64_t picture);

// Row `y` of the input that a window of a picture makes: `to` pixels of RGB, interpolated
// bilinearly (as PyTorch's interpolate, without antialiasing) where the box has another size. What
// lies beyond the picture is black. picture: (from, from, 3).
void cut_row(const uint8_t* picture, int64_t from, const Window& window, int64_t to, int64_t y,
             uint8_t* row);

// As a device reads them: (B, 3) int64 of left, top and flip, or (B, 5) with width and height
// behind where boxes of other sizes are resized.
at::Tensor to_tensor(const std::vector<Window>& windows, bool resized);

// The windows of those pictures at `indices` (B) int64. pictures: (N, from, from, 3) uint8
// -> (B, to, to, 3), the same on every device.
at::Tensor cut_windows(const at::Tensor& pictures, const at::Tensor& indices,
                       const at::Tensor& windows, int64_t to);
// The i-th of such windows, on the CPU.
Window window_at(const at::Tensor& windows, int64_t i, int64_t to);
// The same, whatever the device, by operators alone: what runs on a GPU.
at::Tensor cut_windows_by_operators(const at::Tensor& pictures, const at::Tensor& indices,
                                    const at::Tensor& windows, int64_t to);

}  // namespace distill
