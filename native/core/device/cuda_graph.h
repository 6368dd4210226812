#pragma once

namespace distill {

// Makes at::accelerator::Graph work on CUDA. LibTorch up to 2.14 has the interface, but registers
// no graphs of CUDA with it; where it does, this does nothing. It must be loaded (cuda_library()).
void register_cuda_graphs();

}  // namespace distill
