#pragma once

#include <ATen/ATen.h>

#include <optional>

#include "core/graph/program.h"

namespace distill {

// True for a two-dimensional convolution with stride, padding and dilation 1 and one group, by its
// literals: one that Winograd's way (winograd.h) computes where its weight is 3x3.
bool has_winograd_steps(const Call& call);

// The convolution of such a call by Winograd's way; none where that does not apply to these
// tensors. Differentiable. bias: (out) or undefined.
std::optional<at::Tensor> convolve_3x3(const at::Tensor& x, const at::Tensor& weight,
                                       const at::Tensor& bias);

// The same in evaluation, and in float32, with what stands behind it: + addend (or undefined), then
// ReLU if `relu`. By ATen's operators where Winograd's way does not apply.
at::Tensor convolve_3x3(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                        const at::Tensor& addend, bool relu);

}  // namespace distill
