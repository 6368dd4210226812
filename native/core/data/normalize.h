#pragma once

#include <ATen/ATen.h>

#include <array>

#include "core/data/augment.h"

namespace distill {

// How a picture becomes a network's input.
struct Preprocessing {
  int64_t image_size = 224;                // pixels a side of the centre crop
  std::array<double, 3> mean = {0, 0, 0};  // R, G, B, of values in 0..1
  std::array<double, 3> std = {1, 1, 1};
};

// What torchvision's ToTensor and Normalize do, to the bit:
// pixels (B, S, S, 3) uint8 -> (B, 3, S, S) of (pixel / 255 - mean) / std, channels-last, in the
// type that the network computes in, on the device that the pixels are on.
//
// A picture of interleaved RGB seen as (3, S, S) already is channels-last, so nothing is
// transposed: on the CPU one pass gathers, looks up and converts.
class Normalizer {
 public:
  Normalizer(const Preprocessing& preprocessing, at::Device device, at::ScalarType dtype);

  // All of the pictures.
  at::Tensor operator()(const at::Tensor& pixels) const;
  // Those at `indices` (B) int64, in this order.
  at::Tensor operator()(const at::Tensor& pixels, const at::Tensor& indices) const;
  // A window of each of those, of `size` pixels a side.
  at::Tensor operator()(const at::Tensor& pixels, const at::Tensor& indices,
                        const at::Tensor& windows, int64_t size) const;

 private:
  // row_of(i, y, room): where row y of the i-th picture's pixels lies; `room` has space for it.
  template <typename Row>
  at::Tensor look_up_rows(int64_t count, int64_t height, int64_t width, const Row& row_of) const;
  at::Tensor on_device(const at::Tensor& pixels) const;

  at::Tensor mean_, std_;  // (1, 3, 1, 1)
  at::Tensor table_;       // (256, 3) on the CPU: what each value of each channel becomes
};

}  // namespace distill
