#pragma once

#include <ATen/ATen.h>

#include <string>

namespace distill {

// 'auto', 'cpu', 'cuda' or 'cuda:N' -> the device. 'auto' is the first GPU that LibTorch can use,
// else the CPU. Throws ERR_DEVICE where a GPU is asked for by name and there is none.
at::Device choose_device(const std::string& name);

}  // namespace distill
