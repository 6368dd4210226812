#include "core/device/device.h"

#include <ATen/Context.h>
#include <ATen/DeviceAccelerator.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <dlfcn.h>

#include <algorithm>

#if defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>
#endif
#if defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#include "core/device/cuda_library.h"
#include "core/error.h"
#include "core/parallel/openmp.h"

namespace distill {
namespace {

// Keeps the last warning of LibTorch.
class Listener final : public c10::WarningHandler {
 public:
  void process(const c10::Warning& warning) override { message = warning.msg(); }
  std::string message;
};

// A message without its part about LibTorch's own source and Python.
std::string first_sentences(const std::string& message) {
  return message.substr(0, std::min(message.find(" (function"), message.find('\n')));
}

struct Gpus {
  int64_t count = 0;
  std::string problem;  // the reason why there are none, where there could be
};

// The GPUs that LibTorch can use. Asked once, as LibTorch looks once.
const Gpus& gpus() {
  static const Gpus found = [] {
    if (!cuda_library().problem.empty()) return Gpus{0, cuda_library().problem};
    if (!cuda_library().handle) return Gpus{};
    // LibTorch warns of a driver that is too old, but not of one that is missing.
    Listener listener;
    const c10::WarningUtils::WarningHandlerGuard guard(&listener);
    const int64_t count = at::accelerator::deviceCount();
    if (count > 0) return Gpus{count};
    if (!listener.message.empty()) return Gpus{0, first_sentences(listener.message)};
    if (::dlopen("libcuda.so.1", RTLD_LAZY)) {
      return Gpus{0, "there is none, or CUDA_VISIBLE_DEVICES hides it"};
    }
    const char* const why = ::dlerror();
    return Gpus{0, std::string("NVIDIA's driver is missing: ") + (why ? why : "libcuda.so.1")};
  }();
  return found;
}

std::string why_not() {
  if (gpus().count > 0) {
    return "LibTorch sees " + std::to_string(gpus().count) + " GPU" +
           (gpus().count > 1 ? "s, the last of which is 'cuda:" : ", which is 'cuda:") +
           std::to_string(gpus().count - 1) + "'";
  }
  if (!gpus().problem.empty()) {
    return "LibTorch's CUDA build can use none here (" + gpus().problem +
           "): `nvidia-smi` must list it, and where a library is missing "
           "`DISTILL_LIBTORCH=cuda npx distill setup --force` brings it";
  }
  return "this LibTorch is built for the CPU alone; run "
         "`DISTILL_LIBTORCH=cuda npx distill setup --force`";
}

at::Device choose_device(const std::string& name) {
  if (name == "cpu") return at::kCPU;
  if (name == "auto") return gpus().count > 0 ? at::Device(at::kCUDA, 0) : at::Device(at::kCPU);
  const at::Device device(name);
  const int64_t index = device.has_index() ? device.index() : 0;
  if (index >= gpus().count) {
    throw Error("ERR_DEVICE", "device '" + name + "' is asked for, but " + why_not() +
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
  // Asked once, as a virtual machine hands the instruction to its host.
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

bool is_device_name(std::string_view name) {
  if (name == "auto" || name == "cpu" || name == "cuda") return true;
  constexpr std::string_view prefix = "cuda:";
  if (!name.starts_with(prefix)) return false;
  const std::string_view index = name.substr(prefix.size());
  const bool is_canonical = index == "0" || !index.starts_with('0');
  return !index.empty() && index.size() <= 3 && is_canonical &&
         index.find_first_not_of("0123456789") == std::string_view::npos;
}

Compute begin_execution(const Execution& execution) {
  // The number of threads belongs to the thread that starts the parallel work: the calling one.
  use_threads(execution.threads);
  const at::Device device = choose_device(execution.device);
  // LibTorch tells only by CUDA's own headers what a GPU multiplies natively: there, by name only.
  const bool prefers_bf16 = device.is_cpu() && multiplies_bf16();
  use_device(device);
  return {device, execution.precision.value_or(prefers_bf16 ? at::kBFloat16 : at::kFloat)};
}

std::string gpu_warning(const Execution& execution) {
  return execution.device == "auto" ? gpus().problem : "";
}

void use_device(at::Device device) {
  if (device.is_cpu()) return;
  at::globalContext().lazyInitDevice(device.type());
  // Batches are all of one size, so that looking for the fastest convolution pays.
  at::globalContext().setBenchmarkCuDNN(true);
  const c10::impl::VirtualGuardImpl guard(device.type());
  guard.setDevice(device);
  guard.exchangeStream(another_stream(device));
}

c10::Stream current_stream(at::Device device) {
  return c10::impl::VirtualGuardImpl(device.type()).getStream(device);
}

c10::Stream another_stream(at::Device device) {
  return c10::impl::VirtualGuardImpl(device.type())
      .getStreamFromGlobalPool(device, /*isHighPriority=*/false);
}

int64_t evaluation_batch(int64_t size) {
  constexpr int64_t pixels = 128 * 224 * 224;
  return std::clamp<int64_t>(pixels / (size * size), 1, 1024);
}

void release_device_memory(at::Device device) {
  if (device.is_cpu()) return;
  at::accelerator::emptyCache();
  at::accelerator::emptyHostCache();
}

at::Tensor upload(const at::Tensor& tensor, at::Device device) {
  if (device.is_cpu()) return tensor;
  // Only from memory that the system does not move can a device copy by itself. LibTorch keeps it
  // until that is done.
  return tensor.pin_memory().to(device, tensor.scalar_type(), /*non_blocking=*/true);
}

}  // namespace distill
