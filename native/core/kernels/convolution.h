#pragma once

#include <ATen/ATen.h>

#include "core/nn/layers.h"

namespace distill {

// The convolution without its bias, computed in x's type: by Winograd's way where it applies
// (winograd.h), else by ATen's operator. Differentiable by x and the weight.
//
// x: (B, in, H, W) -> (B, out, H', W')
at::Tensor convolve_without_bias(const at::Tensor& x, const Conv2d& convolution);

}  // namespace distill
