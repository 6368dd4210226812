#include "core/kernels/norm_relu.h"

#include <ATen/Parallel.h>

#include "core/kernels/activation.h"
#include "core/kernels/rows.h"

namespace distill {
namespace {

at::Tensor by_operators(const at::Tensor& x, const Affine& affine) {
  const auto& [scale, shift] = affine;
  // A mean of 0 and a variance of 1: one pass that computes in float32 and rounds once.
  return at::batch_norm(x, scale, shift, at::zeros_like(scale), at::ones_like(scale),
                        /*training=*/false, /*momentum=*/0, /*eps=*/0, /*cudnn_enabled=*/false)
      .relu_();
}

}  // namespace

at::Tensor norm_relu(const at::Tensor& x, const Affine& affine) {
  if (!x.is_cpu()) return by_operators(x, affine);
  const rows::Affine values = affine.values();
  const int64_t channels = x.size(1), height = x.size(2), width = x.size(3);
  const at::Tensor y = empty_channels_last(x, height, width);
  for_type_of(x, [&]<typename T>(T) {
    const T* from = values_of<T>(x);
    T* to = mutable_values_of<T>(y);
    at::parallel_for(0, x.size(0) * height, 1, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        rows::norm_relu(row_of(from, x, row), x.stride(3), values, to + row * width * channels,
                        width, channels);
      }
    });
  });
  return y;
}

at::Tensor norm_relu_average2(const at::Tensor& x, const Affine& affine) {
  if (!x.is_cpu()) return at::avg_pool2d(by_operators(x, affine), 2, 2);
  const rows::Affine values = affine.values();
  const int64_t channels = x.size(1), height = x.size(2) / 2, width = x.size(3) / 2;
  const at::Tensor y = empty_channels_last(x, height, width);
  for_type_of(x, [&]<typename T>(T) {
    const T* from = values_of<T>(x);
    T* to = mutable_values_of<T>(y);
    at::parallel_for(0, x.size(0) * height, 1, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const T* upper = from + row / height * x.stride(0) + row % height * 2 * x.stride(2);
        rows::norm_relu_average2(upper, upper + x.stride(2), x.stride(3), values,
                                 to + row * width * channels, width, channels);
      }
    });
  });
  return y;
}

}  // namespace distill
