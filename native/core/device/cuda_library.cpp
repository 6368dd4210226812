#include "core/device/cuda_library.h"

#include <ATen/Context.h>
#include <dlfcn.h>

#include <filesystem>

namespace distill {
namespace {

CudaLibrary load() {
  Dl_info libtorch = {};
  if (::dladdr(reinterpret_cast<const void*>(&at::globalContext), &libtorch) == 0) return {};
  const auto file = std::filesystem::path(libtorch.dli_fname).parent_path() / "libtorch_cuda.so";
  std::error_code ignored;
  if (!std::filesystem::exists(file, ignored)) return {};
  // By name rather than by the linker, which drops a library that nothing refers to, and so that
  // NVIDIA's libraries may be missing where only the CPU is wanted.
  void* const handle = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle != nullptr) return {handle, {}};
  const char* const why = ::dlerror();
  return {nullptr, why ? why : "LibTorch's CUDA library does not load"};
}

}  // namespace

const CudaLibrary& cuda_library() {
  static const CudaLibrary library = load();
  return library;
}

}  // namespace distill
