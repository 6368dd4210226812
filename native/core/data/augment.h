#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

#include "core/names.h"

namespace distill {

// Random changes to training pictures, so that a network does not see the same pixels twice.
// Pictures are stored as squares of `from` by `from` pixels and cut to squares of `to` by `to`.
struct Augmentation {
  enum class Crop {
    center,  // the middle
    random,  // any place; where pictures are no larger than the input, they are first surrounded by
             // an eighth of their side of black, so that they shift
    resized,  // torchvision's RandomResizedCrop: a box of any place, size and ratio, resized
  };
  Crop crop;
  double min_scale;  // the smallest box's share of the picture's area, of resized crops
  bool flip;         // left to right, every other picture

  bool is_identity() const { return crop == Crop::center && !flip; }
};
inline constexpr Named<Augmentation::Crop> crops[] = {{"center", Augmentation::Crop::center},
                                                      {"random", Augmentation::Crop::random},
                                                      {"resized", Augmentation::Crop::resized}};

// A box of a picture, in its pixels (it may reach beyond the picture), that becomes the input.
struct Window {
  int64_t left = 0, top = 0, width = 0, height = 0;
  bool flip = false;
};

// Draws the window of a picture in an epoch (or of one of its views). It follows from the arguments
// alone: not from other draws, their order or the number of threads.
Window draw_window(const Augmentation& augmentation, int64_t from, int64_t to, uint64_t seed,
                   uint64_t epoch, uint64_t picture);

// Writes row `y` of the input that a window of a picture makes: `to` pixels of RGB, interpolated
// bilinearly (as PyTorch's interpolate, without antialiasing) if the box has another size. Pixels
// beyond the picture are black. picture: (from, from, 3).
void cut_row(const uint8_t* picture, int64_t from, const Window& window, int64_t to, int64_t y,
             uint8_t* row);

// Returns the windows as a device reads them: (B, 3) int64 of left, top and flip; with `resized`
// (B, 5), followed by width and height.
at::Tensor to_tensor(const std::vector<Window>& windows, bool resized);

// Cuts the windows out of the pictures at `indices` (B) int64. pictures: (N, from, from, 3) uint8
// -> (B, to, to, 3), the same on every device.
at::Tensor cut_windows(const at::Tensor& pictures, const at::Tensor& indices,
                       const at::Tensor& windows, int64_t to);
// Returns the i-th of such windows, on the CPU.
Window window_at(const at::Tensor& windows, int64_t i, int64_t to);
// Does the same by operators alone, on any device: a GPU runs this.
at::Tensor cut_windows_by_operators(const at::Tensor& pictures, const at::Tensor& indices,
                                    const at::Tensor& windows, int64_t to);

}  // namespace distill
