#pragma once

#include <ATen/ATen.h>

namespace distill {

// Convolution 3x3, stride 1, padding 1, by Winograd's minimal filtering: a quarter of the
// multiplications of the direct way, which is what oneDNN has for x86-64.
//
// x: (B, in, H, W) float32 in channels-last memory, on the CPU.
// weight: (out, in, 3, 3), channels-last. -> (B, out, H, W), channels-last.
//
// Can be differentiated by both. In float32 the results differ from the exact ones by 1e-6 relative
// (L2 norm), twice what the direct way's do. Where x holds NaN or infinity, so does all of the 4x4
// results that share a tile with what PyTorch would make not finite.
at::Tensor winograd_convolution(const at::Tensor& x, const at::Tensor& weight);

// Whether it can be had: float32 on the CPU, and channels in whole blocks.
bool winograd_applies(const at::Tensor& x, const at::Tensor& weight, int64_t stride,
                      int64_t padding);

}  // namespace distill
