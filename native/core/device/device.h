#pragma once

#include <ATen/ATen.h>
#include <c10/core/Stream.h>

#include <optional>
#include <string>
#include <string_view>

#include "core/names.h"

namespace distill {

// The formats of convolutions and activations by name, and the same with 'auto' (none): bf16 where
// the device multiplies bfloat16 natively.
inline constexpr Named<at::ScalarType> dtypes[] = {{"fp32", at::kFloat}, {"bf16", at::kBFloat16}};
inline constexpr Named<std::optional<at::ScalarType>> precisions[] = {
    {"auto", std::nullopt}, {"fp32", at::kFloat}, {"bf16", at::kBFloat16}};

// The device that a network computes on, and the format of its convolutions and activations.
// Parameters, BatchNorm's statistics, the optimizer and all layers behind the convolutions stay
// float32. On a GPU, convolutions of float32 multiply in TF32, as PyTorch's do by default.
struct Compute {
  at::Device device = at::kCPU;
  at::ScalarType dtype = at::kFloat;

  std::string precision() const { return name_of(dtypes, dtype); }
};

// The device, format and threads that a caller asks for.
struct Execution {
  std::string device;                       // a device's name
  std::optional<at::ScalarType> precision;  // none: 'auto'
  int64_t threads;                          // 0: LibTorch's choice
};

// Returns true for 'auto', 'cpu', 'cuda' and 'cuda:N'.
bool is_device_name(std::string_view name);

// Chooses device and format, and prepares the calling thread: it uses so many threads for parallel
// work, and queues its work for the device on a stream of its own, which may be captured as a
// graph. 'auto' is the first GPU that LibTorch can use, else the CPU. Throws ERR_DEVICE where a GPU
// is asked for by name and there is none.
Compute begin_execution(const Execution& execution);

// The reason why 'auto' has no GPU with a LibTorch that is built for CUDA. Empty where it has one,
// where another device is asked for, and where LibTorch is built for the CPU alone.
std::string gpu_warning(const Execution& execution);

// Makes the calling thread queue its work for a device on a stream of its own.
void use_device(at::Device device);

// The calling thread's stream of a device that is not the CPU.
c10::Stream current_stream(at::Device device);
// Another one, whose work does not wait for that stream's.
c10::Stream another_stream(at::Device device);

// Copies a tensor of the CPU to the device, without waiting for the copy. On the CPU, returns the
// tensor itself.
at::Tensor upload(const at::Tensor& tensor, at::Device device);

// The number of pictures with sides of `size` pixels that evaluation sends through a network at
// once on a device that is not the CPU: enough to fill a GPU, and few enough for its memory. It may
// be more than in training, as each picture is evaluated by itself.
int64_t evaluation_batch(int64_t size);

// Gives a device's memory that no tensor uses back to the system.
void release_device_memory(at::Device device);

// True where the processor has instructions that multiply bfloat16. Elsewhere the type is emulated,
// slower than float32.
bool multiplies_bf16();
// True where it multiplies whole matrices of it, several times as fast as vectors.
bool has_bf16_matrix_units();

}  // namespace distill
