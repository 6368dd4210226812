#pragma once

#include <ATen/ATen.h>

namespace distill {

// Convolution 3x3 with stride 1 and padding 1 by Winograd's minimal filtering, which needs a
// quarter of the direct way's multiplications. On x86-64 PyTorch has only the direct way
// (oneDNN's).
//
// x: (B, in, H, W) float32 or bfloat16 in channels-last memory, on the CPU. weight: (out, in, 3, 3)
// float32. -> (B, out, H, W) in x's type, channels-last. Can be differentiated by both.
//
// Measured on two Zen 4 cores against oneDNN's at batch 4, for 32 to 64 channels at 112x112, 64 to
// 128 at 56x56 and 128 to 256 at 28x28, in float32:
//                    times as fast   relative L2 error against float64 (direct: 0.2e-6 to 0.9e-6)
//   forward          2.4, 3.0, 3.1   0.5e-6 to 1.1e-6
//   input gradient   2.6, 3.0, 3.2   0.8e-6 to 1.5e-6
//   weight gradient  2.9, 3.0, 3.2   0.5e-6 to 0.9e-6
// Beside the products there are only the transforms: a third of the time of the first of these
// shapes, an eighth of the last's. The AVX2 version is 2.2 to 3.0 times as fast as oneDNN with
// AVX-512, that for any x86-64 as fast. Tiles of 2x2 results instead of 4x4 were 1.7 to 2.0 times
// as fast as the direct way and erred a third as much. Summing BatchNorm's moments while a tile is
// in the cache gained nothing measurable: left out.
//
// In bfloat16, where the processor multiplies it, 1.6 to 2.0 times as fast as that; the transforms
// are half of the time there. Their results are rounded, so it errs more than the direct way:
// 1.0e-2 to 1.2e-2 against 0.2e-2, at random, not in one direction. A student learns as well.
//
// A NaN or infinity reaches all of the 4x4 results of a tile, rather than 3x3 pixels.
at::Tensor winograd_convolution(const at::Tensor& x, const at::Tensor& weight);

// True for activations on the CPU and channels in whole blocks. False in bfloat16 where the
// processor has matrix units for it, which make the direct way the faster one.
bool winograd_applies(at::Device device, at::ScalarType dtype, const at::Tensor& weight,
                      int64_t stride, int64_t padding);

}  // namespace distill
