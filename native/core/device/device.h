#pragma once

#include <ATen/ATen.h>
#include <c10/core/Stream.h>

#include <string>

namespace distill {

// Where a network computes, and in what type its convolutions and activations do. Parameters,
// BatchNorm's statistics, the optimizer and all that is behind the convolutions stay float32.
// On a GPU, convolutions of float32 multiply in TF32, as PyTorch's do by default.
struct Compute {
  at::Device device = at::kCPU;
  at::ScalarType dtype = at::kFloat;  // or kBFloat16

  const char* precision() const { return dtype == at::kFloat ? "fp32" : "bf16"; }
};

// device: 'auto', 'cpu', 'cuda' or 'cuda:N'; 'auto' is the first GPU that LibTorch can use, else
// the CPU. precision: 'fp32', 'bf16' or 'auto', which is bf16 where the device multiplies bfloat16
// natively. Throws ERR_DEVICE where a GPU is asked for by name and there is none.
Compute choose_compute(const std::string& device, const std::string& precision);

// Why a LibTorch that is built for CUDA has no GPU to use. Empty where it has, and where LibTorch
// is built for the CPU alone.
const std::string& gpu_problem();

// Makes the calling thread queue its work for a device on a stream of its own, which may be
// captured as a graph.
void use_device(at::Device device);

// What is queued on the calling thread's stream of a device that is not the CPU.
c10::Stream current_stream(at::Device device);
// Another one, whose work does not wait for that.
c10::Stream another_stream(at::Device device);

// A tensor of the CPU on the device, without waiting for it to be there. On the CPU, itself.
at::Tensor upload(const at::Tensor& tensor, at::Device device);

// How many pictures of so many pixels a side to send through a network in evaluation at once on a
// device that is not the CPU. Each is judged by itself, so that they may be more than in training:
// enough to fill a GPU, and few enough for its memory.
int64_t evaluation_batch(int64_t size);

// Gives a device's memory that no tensor uses back to the system.
void release_device_memory(at::Device device);

// Whether the processor has instructions that multiply bfloat16. Elsewhere the type is emulated,
// slower than float32.
bool multiplies_bf16();
// Whether it multiplies whole matrices of it, several times as fast as vectors.
bool has_bf16_matrix_units();

}  // namespace distill
