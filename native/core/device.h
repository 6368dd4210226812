#pragma once

#include <ATen/ATen.h>

#include <string>

namespace distill {

// Where a network computes, and in what type its convolutions and activations do. Parameters,
// BatchNorm's statistics, the optimizer and all that is behind the convolutions stay float32.
struct Compute {
  at::Device device = at::kCPU;
  at::ScalarType dtype = at::kFloat;  // or kBFloat16

  const char* precision() const { return dtype == at::kFloat ? "fp32" : "bf16"; }
};

// device: 'auto', 'cpu', 'cuda' or 'cuda:N'; 'auto' is the first GPU that LibTorch can use, else
// the CPU. precision: 'fp32', 'bf16' or 'auto', which is bf16 where the device multiplies bfloat16
// natively. Throws ERR_DEVICE where a GPU is asked for by name and there is none.
Compute choose_compute(const std::string& device, const std::string& precision);

// Whether the processor has instructions that multiply bfloat16. Elsewhere the type is emulated,
// slower than float32.
bool multiplies_bf16();
// Whether it multiplies whole matrices of it, several times as fast as vectors.
bool has_bf16_matrix_units();

}  // namespace distill
