#pragma once

#include <ATen/ATen.h>

namespace distill {

// relu(x * scale + shift), and its average over each 2x2 pixels (a last odd row or column is
// dropped): a frozen BatchNorm with what follows it, in one pass. Not differentiable.
//
// x: (B, C, H, W) float32 or bfloat16; on the CPU the channels of a pixel lie side by side, and may
// be the first of more. scale, shift: (C) float32. -> x's type, channels-last, without gaps.
at::Tensor norm_relu(const at::Tensor& x, const at::Tensor& scale, const at::Tensor& shift);
at::Tensor norm_relu_average2(const at::Tensor& x, const at::Tensor& scale,
                              const at::Tensor& shift);

}  // namespace distill
