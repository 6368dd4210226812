#pragma once

#include <ATen/ATen.h>

#include "core/config.h"

namespace distill {

// What torchvision's ToTensor and Normalize do, to the bit:
// pixels (B, S, S, 3) uint8 -> (B, 3, S, S) float32 of (pixel / 255 - mean) / std.
//
// A picture of interleaved RGB seen as (3, S, S) already is channels-last, so nothing is
// transposed.
class Normalizer {
 public:
  Normalizer(const Preprocessing& preprocessing, at::Device device);
  at::Tensor operator()(const at::Tensor& pixels) const;

 private:
  at::Tensor mean_, std_;  // (1, 3, 1, 1)
};

}  // namespace distill
