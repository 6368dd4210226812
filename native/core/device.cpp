#include "core/device.h"

#include <ATen/Context.h>
#include <ATen/detail/CUDAHooksInterface.h>

#include "core/error.h"

namespace distill {
namespace {

// How many GPUs LibTorch can use. 0 also where its CUDA build finds no driver.
int64_t count_gpus() {
  if (!at::hasCUDA()) return 0;
  try {
    return at::detail::getCUDAHooks().deviceCount();
  } catch (const c10::Error&) {
    return 0;
  }
}

}  // namespace

at::Device choose_device(const std::string& name) {
  if (name == "cpu") return at::kCPU;
  const int64_t gpus = count_gpus();
  if (name == "auto") return gpus > 0 ? at::Device(at::kCUDA, 0) : at::Device(at::kCPU);
  const at::Device device(name);
  const int64_t index = device.has_index() ? device.index() : 0;
  if (index >= gpus) {
    throw Error("ERR_DEVICE",
                "device '" + name + "' is asked for, but " +
                    (at::hasCUDA() ? "LibTorch sees " + std::to_string(gpus) + " GPUs"
                                   : "this LibTorch is built for the CPU alone; run "
                                     "`DISTILL_LIBTORCH=cuda npx distill setup --force`") +
                    "; 'cpu' and 'auto' work here");
  }
  return {at::kCUDA, static_cast<at::DeviceIndex>(index)};
}

}  // namespace distill
