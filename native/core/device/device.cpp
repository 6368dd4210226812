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

namespace distill {
namespace {

// Keeps what LibTorch warns of.
class Listener final : public c10::WarningHandler {
 public:
  void process(const c10::Warning& warning) override { heard = warning.msg(); }
  std::string heard;
};

// Without what is about LibTorch's own source and Python.
std::string first_sentences(const std::string& message) {
  return message.substr(0, std::min(message.find(" (function"), message.find('\n')));
}

struct Gpus {
  int64_t count = 0;
  std::string problem;  // why there are none, where there could be
};

// What LibTorch can use. Asked once, as it looks once.
const Gpus& gpus() {
  static const Gpus found = [] {
    if (!cuda_library().problem.empty()) return Gpus{0, cuda_library().problem};
    if (!cuda_library().handle) return Gpus{};
    // A driver that is too old is told as a warning; one that is missing, not at all.
    Listener listener;
    const c10::WarningUtils::WarningHandlerGuard guard(&listener);
    const int64_t count = at::accelerator::deviceCount();
    if (count > 0) return Gpus{count};
    if (!listener.heard.empty()) return Gpus{0, first_sentences(listener.heard)};
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

const std::string& gpu_problem() {
  return gpus().problem;
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
