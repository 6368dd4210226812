#pragma once

#include <ATen/ATen.h>

#include "core/kernels/norm_relu_train.h"

namespace distill {

// A norm and ReLU of features with the 1x1 convolution behind it, by pieces of the pictures that
// stay in the caches of one thread: what the ReLU makes is not written to memory, nor is its
// gradient (FeatureGradient::add_product).
//
// features: (B, C', H, W) float32, channels-last, on the CPU, of which the affine's channels are
// the first; weight: (out, channels), without gaps. -> (B, out, H, W), channels-last
at::Tensor norm_relu_product(const at::Tensor& features, const BatchAffine& affine,
                             const at::Tensor& weight);

// Whether it can be had: float32 on the CPU, and channels in whole panels.
bool norm_relu_product_applies(const at::Tensor& features, const at::Tensor& weight);

}  // namespace distill
