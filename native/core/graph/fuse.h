#pragma once

#include "core/device/device.h"
#include "core/graph/execution.h"

namespace distill {

// A program with the tensors that it reads.
struct BoundProgram {
  Program program;
  Executor::Tensors tensors;
};

// The same numbers in evaluation mode by less work, on the device and in the type of `compute`:
// - BatchNorm behind a convolution is folded into its weights (Jacob et al. 2018, section 3.2);
// - on the CPU, oneDNN's convolutions and linear layers have the sum and the activation behind
//   them, and weights packed once;
// - weights of convolutions and matrix products are in compute's type, those of norms float32.
BoundProgram fuse(const Program& program, const Executor::Tensors& tensors, const Compute& compute);

}  // namespace distill
