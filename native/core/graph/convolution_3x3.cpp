#include "core/graph/convolution_3x3.h"

#include <algorithm>

#include "core/kernels/norm_relu.h"
#include "core/kernels/winograd.h"

namespace distill {
namespace {

bool applies(const at::Tensor& x, const at::Tensor& weight) {
  // A picture that is smaller than Winograd's tiles would leave most of a tile empty.
  return x.dim() == 4 && weight.dim() == 4 && x.size(1) == weight.size(1) &&
         std::min(x.size(2), x.size(3)) >= 4 && weight.scalar_type() == at::kFloat &&
         (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16) &&
         winograd_applies(x.device(), x.scalar_type(), weight, /*stride=*/1, /*padding=*/1);
}

}  // namespace

std::optional<at::Tensor> convolve_3x3(const at::Tensor& x, const at::Tensor& weight,
                                       const at::Tensor& bias) {
  const bool has_fitting_bias =
      !bias.defined() || bias.sizes() == at::IntArrayRef({weight.size(0)});
  if (!applies(x, weight) || !has_fitting_bias) return std::nullopt;  // ATen refuses the latter
  const at::Tensor y = winograd_convolution(x, weight);
  return bias.defined() ? y + bias.to(y.scalar_type()).view({-1, 1, 1}) : y;
}

at::Tensor convolve_3x3(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                        const at::Tensor& addend, bool relu) {
  const bool by_winograd = applies(x, weight);
  at::Tensor y = by_winograd ? winograd_convolution(x, weight)
                             : at::conv2d(x, weight, bias, /*stride=*/1, /*padding=*/1);
  if (addend.defined()) y.add_(addend);
  const bool lacks_bias = by_winograd && bias.defined();
  if (relu && lacks_bias) return norm_relu(y, {at::ones_like(bias), bias});
  if (lacks_bias) y.add_(bias.view({-1, 1, 1}));
  return relu ? y.relu_() : y;
}

}  // namespace distill
