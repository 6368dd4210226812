#pragma once

#include <ATen/ATen.h>

#include <vector>

#include "core/kernels/pool.h"
#include "core/models/densenet.h"

namespace distill {

// A dense block in training mode with the norm, ReLU and pooling behind it. Differentiable by x and
// all parameters.
//
// x: (B, C, H, W) float32 or bfloat16, channels-last. `norm` is the transition's, or norm5. `pool`:
// average2, which a transition's 1x1 convolution commutes with and then has a quarter of the work,
// or average. -> (B, C', H/2, W/2) in x's type, or (B, C') float32
//
// On the CPU the layers write into one tensor instead of concatenating the same features again and
// again; a feature's moments are computed once for all the norms that read it, and the terms that
// they share in its gradient are added once (FeatureGradient). The results of norm and ReLU are
// computed again in the backward pass: if every layer kept them, the memory would grow with the
// square of the number of layers. Other devices use ATen's operators.
at::Tensor dense_stage(const at::Tensor& x, const std::vector<DenseNet::DenseLayer>& layers,
                       const BatchNorm2d& norm, Pool pool);

}  // namespace distill
