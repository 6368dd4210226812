#pragma once

#include <ATen/ATen.h>

#include "core/kernels/feature_gradient.h"

namespace distill {

// A norm and ReLU of features with the 1x1 convolution behind it, by pieces of the pictures that
// stay in the caches of one thread: neither the ReLU's result nor its gradient
// (FeatureGradient::add_product) is written to memory.
//
// features: (B, C', H, W) float32, channels-last, on the CPU, of which the norm reads the first
// channels; weight: (out, channels), without gaps. -> (B, out, H, W), channels-last
at::Tensor norm_relu_product(const at::Tensor& features, const BatchAffine& norm,
                             const at::Tensor& weight);

// True for float32 on the CPU with channels in whole panels.
bool norm_relu_product_applies(const at::Tensor& features, const at::Tensor& weight);

}  // namespace distill
