#pragma once

#include <ATen/ATen.h>

#include "core/kernels/batch_norm.h"

namespace distill {

// relu(x * scale + shift) in one pass. Not differentiable.
//
// x: (B, C, H, W) float32 or bfloat16; on the CPU the channels of a pixel lie side by side, and may
// be the first of more. -> x's type, channels-last, without gaps.
at::Tensor norm_relu(const at::Tensor& x, const Affine& affine);

// Its average over each 2x2 pixels; a last odd row or column is dropped. -> (B, C, H/2, W/2)
at::Tensor norm_relu_average2(const at::Tensor& x, const Affine& affine);

}  // namespace distill
