#include "core/kernels/convolution.h"

#include "core/kernels/winograd.h"

namespace distill {

at::Tensor convolve_without_bias(const at::Tensor& x, const Conv2d& convolution) {
  const auto& [weight, bias, stride, padding] = convolution;
  if (winograd_applies(x.device(), x.scalar_type(), weight, stride, padding)) {
    return winograd_convolution(x, weight);
  }
  return at::conv2d(x, weight.to(x.scalar_type()), /*bias=*/{}, stride, padding);
}

}  // namespace distill
