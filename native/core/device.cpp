#include "core/device.h"

#include <ATen/Context.h>
#include <ATen/detail/CUDAHooksInterface.h>

#if defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>
#endif
#if defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

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

}  // namespace

bool multiplies_bf16() {
#if defined(__x86_64__) && defined(__GNUC__)
  return __builtin_cpu_supports("avx512bf16");  // every processor with AMX has them too
#elif defined(__aarch64__) && defined(__linux__)
  return ::getauxval(AT_HWCAP2) & HWCAP2_BF16;
#else
  return false;
#endif
}

bool has_bf16_matrix_units() {
#if defined(__x86_64__) && defined(__GNUC__)
  // Asked once: on a virtual machine the instruction goes to its host.
  static const bool amx_bf16 = [] {
    unsigned int eax = 0, ebx = 0, ecx = 0, edx = 0;
    constexpr unsigned int bit = 1u << 22;
    return __get_cpuid_count(/*leaf=*/7, /*subleaf=*/0, &eax, &ebx, &ecx, &edx) && (edx & bit);
  }();
  return amx_bf16 && multiplies_bf16();
#else
  return multiplies_bf16();  // Arm's instruction is one of matrices
#endif
}

Compute choose_compute(const std::string& device_name, const std::string& precision) {
  const at::Device device = choose_device(device_name);
  // Nothing without CUDA's own headers tells what a GPU multiplies natively: there, by name only.
  const bool bf16 =
      precision == "bf16" || (precision == "auto" && device.is_cpu() && multiplies_bf16());
  return {device, bf16 ? at::kBFloat16 : at::kFloat};
}

}  // namespace distill
