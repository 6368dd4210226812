#pragma once

#include <ATen/ATen.h>

#include "core/kernels/pool.h"
#include "core/nn/layers.h"

namespace distill {

// BatchNorm, ReLU and pooling as one pass forward and two backward (one for the sums over the
// batch, one that writes). As separate operators each of the three passes over the activations,
// which are far larger than the caches, once forward and once backward.
//
// x: (B, C, H, W) float32 or bfloat16 in channels-last memory, on the CPU.
// input_bias: (C), the bias of the convolution before the norm, not yet added to x. BatchNorm
// subtracts a constant again, so in training it moves the running mean alone and its gradient is
// zero (PyTorch's is rounding noise around zero).
// pool: max2 or average. -> (B, C, H/2, W/2) in x's type or (B, C, 1, 1) float32, channels-last.
//
// Training normalises by the batch's statistics, moves the running ones, and can be differentiated.
// The statistics are summed in double precision, as PyTorch does for its contiguous layout: its own
// channels-last path sums in float, which moves the gradients of the first layers by 1e-4 to 1e-3.
// NaN and infinity go where PyTorch lets them go.
at::Tensor norm_relu_pool(const at::Tensor& x, const at::Tensor& input_bias,
                          const BatchNorm2d& norm, Pool pool, bool training);

}  // namespace distill
