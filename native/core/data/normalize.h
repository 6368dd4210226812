#pragma once

#include <ATen/ATen.h>

#include <array>

#include "core/data/augment.h"

namespace distill {

// The crop and the normalisation that make a network's input of a picture.
struct Preprocessing {
  int64_t image_size;          // side of the centre crop in pixels
  std::array<double, 3> mean;  // R, G, B, of values in 0..1
  std::array<double, 3> std;
};

// Does what torchvision's ToTensor and Normalize do, to the bit:
// pixels (B, S, S, 3) uint8 -> (B, 3, S, S) of (pixel / 255 - mean) / std, channels-last, in the
// type that the network computes in, on the device that the pixels are on.
//
// A picture of interleaved RGB seen as (3, S, S) already is channels-last, so nothing is
// transposed: on the CPU one pass gathers, looks up and converts.
class Normalizer {
 public:
  Normalizer(const Preprocessing& preprocessing, at::Device device, at::ScalarType dtype);

  // Normalises all of the pictures.
  at::Tensor operator()(const at::Tensor& pixels) const;
  // Normalises the pictures at `indices` (B) int64, in this order.
  at::Tensor operator()(const at::Tensor& pixels, const at::Tensor& indices) const;
  // Normalises a window of each of them, of `size` by `size` pixels.
  at::Tensor operator()(const at::Tensor& pixels, const at::Tensor& indices,
                        const at::Tensor& windows, int64_t size) const;

 private:
  // row_of(i, y, room) returns the address of row y of the i-th picture's pixels; `room` has space
  // for it.
  template <typename Row>
  at::Tensor look_up_rows(int64_t count, int64_t height, int64_t width, const Row& row_of) const;
  at::Tensor on_device(const at::Tensor& pixels) const;

  at::Tensor mean_, std_;  // (1, 3, 1, 1)
  at::Tensor table_;       // (256, 3) on the CPU: the result for each value of each channel
};

}  // namespace distill
