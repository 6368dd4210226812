#pragma once

#include <ATen/ATen.h>

#include <vector>

#include "core/models/densenet.h"

namespace distill {

// What follows the norm and ReLU behind a dense block: the average of each 2x2, which a
// transition's 1x1 convolution commutes with and then has a quarter of the work, or of the whole
// picture.
enum class StagePool { average2, average };

// A dense block of training with the norm, ReLU and pooling behind it. Differentiable by x and all
// parameters.
//
// x: (B, C, H, W) float32 or bfloat16, channels-last. `norm` is the transition's, or norm5.
// -> (B, C', H/2, W/2) in x's type, or (B, C') float32
//
// On the CPU the layers write into one tensor instead of concatenating the same features again and
// again; a feature's moments are computed once for all the norms that read it, and the terms that
// they share in its gradient are added once (FeatureGradient). What a norm and ReLU make of the
// features is made again in the backward pass rather than kept: kept by every layer it would grow
// with the square of their number. Elsewhere it is made of operators.
at::Tensor dense_stage(const at::Tensor& x, const std::vector<DenseNet::DenseLayer>& layers,
                       const BatchNorm2d& norm, StagePool pool);

}  // namespace distill
