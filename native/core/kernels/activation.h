#pragma once

#include <ATen/ATen.h>

#include "core/kernels/bf16.h"

// Access to activations, (B, C, H, W) in channels-last memory, stored as float32 or bfloat16:
// kernels are templates of the type.
namespace distill {

// Calls `kernel` with a value of the type that the activations are stored as.
template <typename Kernel>
auto for_type_of(const at::Tensor& x, const Kernel& kernel) {
  return x.scalar_type() == at::kBFloat16 ? kernel(Bf16()) : kernel(float());
}

template <typename T>
const T* values_of(const at::Tensor& x) {
  return static_cast<const T*>(x.const_data_ptr());
}
template <typename T>
T* mutable_values_of(const at::Tensor& x) {
  return static_cast<T*>(x.mutable_data_ptr());
}

// The first value of a row of pixels, rows counted over the whole batch.
template <typename T>
T* row_of(T* first, const at::Tensor& x, int64_t row) {
  return first + row / x.size(2) * x.stride(0) + row % x.size(2) * x.stride(2);
}

// An activation with x's pictures, channels and type, without gaps between pixels.
inline at::Tensor empty_channels_last(const at::Tensor& x, int64_t height, int64_t width) {
  return at::empty({x.size(0), x.size(1), height, width},
                   x.options().memory_format(at::MemoryFormat::ChannelsLast));
}

}  // namespace distill
