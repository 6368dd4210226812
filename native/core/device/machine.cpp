#include "core/device/machine.h"

#include <ATen/Context.h>
#include <ATen/DeviceAccelerator.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <dlfcn.h>

#include "core/device/device.h"

namespace distill {
namespace {

// The folder whose lib/ holds the library with ATen's functions.
std::string libtorch_folder() {
  Dl_info library = {};
  if (::dladdr(reinterpret_cast<void*>(&at::get_cpu_capability), &library) == 0) return "";
  std::string path = library.dli_fname;
  for (int parts = 0; parts < 2; ++parts) path = path.substr(0, path.find_last_of('/'));
  return path;
}

std::vector<std::string> cpu_features() {
  std::vector<std::string> features;
#if defined(__x86_64__) && defined(__GNUC__)
  if (__builtin_cpu_supports("avx2")) features.push_back("AVX2");
  if (__builtin_cpu_supports("avx512f")) features.push_back("AVX-512");
#elif defined(__aarch64__)
  features.push_back("NEON");
#endif
  if (multiplies_bf16()) features.push_back("bf16");
  if (has_bf16_matrix_units()) features.push_back("bf16 matrices");
  return features;
}

// Known without a GPU, too, where at::hasCUDA() is false.
std::string cuda_version() {
  try {
    const int64_t version = at::detail::getCUDAHooks().versionCUDART();  // 13000: 13.0
    return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
  } catch (const c10::Error&) {
    return "";
  }
}

std::vector<Machine::Gpu> list_gpus() {
  std::vector<Machine::Gpu> gpus;
  for (c10::DeviceIndex i = 0; i < at::accelerator::deviceCount(); ++i) {
    const at::Device device(at::kCUDA, i);
    at::globalContext().lazyInitDevice(device.type());
    const auto [free, total] = at::accelerator::getMemoryInfo(i);
    const auto held = at::accelerator::getDeviceStats(i).reserved_bytes;
    gpus.push_back({device.str(), static_cast<int64_t>(total), static_cast<int64_t>(free),
                    held[static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE)].peak});
  }
  return gpus;
}

}  // namespace

Machine describe_machine() {
  return {libtorch_folder(), cuda_version(), cpu_features(), at::get_num_threads(), list_gpus()};
}

}  // namespace distill
