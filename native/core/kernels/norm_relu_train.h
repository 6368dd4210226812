#pragma once

#include <ATen/ATen.h>

#include "core/kernels/batch_norm.h"
#include "core/nn/layers.h"

namespace distill {

// relu(norm(x)) in training mode, which moves the running statistics. Differentiable.
//
// x: (B, C, H, W) float32 or bfloat16, channels-last, without gaps; on other devices than the CPU
// by ATen's operators.
at::Tensor norm_relu_train(const at::Tensor& x, const BatchNorm2d& norm);

// Its gradients by x and by the norm's parameters, in two passes, on the CPU. dy: like x.
NormGradients norm_relu_backward(const at::Tensor& x, const BatchAffine& norm,
                                 const at::Tensor& dy);

}  // namespace distill
