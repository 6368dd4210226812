#pragma once

#include <ATen/ATen.h>

#include <optional>

namespace distill {

// The convolution of a call with has_winograd_steps() by Winograd's way; none where that does not
// apply to these tensors. Differentiable. bias: (out) or undefined.
std::optional<at::Tensor> convolve_3x3(const at::Tensor& x, const at::Tensor& weight,
                                       const at::Tensor& bias);

// The same in evaluation, and in float32, with what stands behind it: + addend (or undefined), then
// ReLU if `relu`. By ATen's operators where Winograd's way does not apply.
at::Tensor convolve_3x3(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                        const at::Tensor& addend, bool relu);

}  // namespace distill
