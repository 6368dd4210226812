#pragma once

#include <string>

namespace distill {

// LibTorch's CUDA part, which this project neither includes nor links with: the same addon serves a
// LibTorch with it and one without.
struct CudaLibrary {
  void* handle = nullptr;  // dlopen's; null where this LibTorch has none, or it does not load
  std::string problem;     // the reason why it does not load, where it is there
};

// Loads it from beside LibTorch's other libraries at the first call; it then registers its kernels
// with them. Must be called before LibTorch is first asked for a device, as it remembers the
// answer.
const CudaLibrary& cuda_library();

}  // namespace distill
