#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace distill {

// The machine as LibTorch sees it.
struct Machine {
  struct Gpu {
    std::string device;            // such as "cuda:0"
    int64_t memory = 0, free = 0;  // bytes
    int64_t peak = 0;              // the most that this process has held of it at once
  };
  std::string libtorch;               // the folder that its libraries were loaded from
  std::string cuda;                   // the CUDA that it has loaded, such as "13.0"; "" without
  std::vector<std::string> features;  // instructions of the processor that make a difference here
  int64_t threads = 0;                // that it computes with by default
  std::vector<Gpu> gpus;
};

Machine describe_machine();

}  // namespace distill
