#pragma once

#include <ATen/ATen.h>

#include "core/kernels/bf16.h"

// Activations are stored as float32 or bfloat16: kernels are templates of the type.
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

}  // namespace distill
