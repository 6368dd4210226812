#include "core/nn/weights.h"

#include <optional>

#include "core/device/device.h"
#include "core/error.h"

namespace distill {
namespace {

bool is_statistic(const std::string& name) {
  return name.ends_with(".running_mean") || name.ends_with(".running_var") ||
         name.ends_with(".num_batches_tracked");
}

// No training leaves a negative variance: the layer's result would be NaN, which folding it into a
// convolution may hide.
void refuse_negative_variances(const StateDict& loaded, const std::string& path) {
  for (const auto& [name, tensor] : loaded) {
    if (!name.ends_with(".running_var") || !tensor.lt(0).any().item<bool>()) continue;
    throw Error("ERR_CHECKPOINT_CORRUPT", "the tensor '" + name + "' in '" + path +
                                              "' holds negative variances: take the file from its "
                                              "source again");
  }
}

}  // namespace

void load_weights(StateDict& model, const Checkpoint& checkpoint, const std::string& what) {
  std::vector<TensorSpec> expected;
  for (const auto& [name, tensor] : model) {
    expected.push_back({name, tensor.sizes().vec(), tensor.scalar_type()});
  }
  const StateDict loaded = load_state_dict(checkpoint, expected, what);
  refuse_negative_variances(loaded, checkpoint.path());
  for (const auto& [name, tensor] : model) at::Tensor(tensor).copy_(loaded.at(name));
}

bool plausible_classes(const TensorEntry& weight) {
  return weight.shape.size() == 2 && weight.shape[0] >= 1 && weight.shape[0] <= 100'000;
}

void move_weights(StateDict& model, at::Device device) {
  for (const auto& [name, tensor] : model) at::Tensor(tensor).set_data(tensor.to(device));
}

StateDict on_host(const StateDict& model) {
  StateDict copies;
  std::optional<at::Device> device;
  for (const auto& [name, tensor] : model) {
    if (tensor.is_cpu()) {
      copies.insert(name, tensor);
      continue;
    }
    device = tensor.device();
    const at::Tensor copy = at::empty_like(tensor, at::kCPU).pin_memory();
    copy.copy_(tensor.detach(), /*non_blocking=*/true);
    copies.insert(name, copy);
  }
  if (device) current_stream(*device).synchronize();
  return copies;
}

std::vector<at::Tensor> trainable(const StateDict& model) {
  std::vector<at::Tensor> parameters;
  for (const auto& [name, tensor] : model) {
    if (!is_statistic(name)) parameters.push_back(tensor);
  }
  return parameters;
}

int64_t count_elements(const std::vector<at::Tensor>& tensors) {
  int64_t count = 0;
  for (const at::Tensor& tensor : tensors) count += tensor.numel();
  return count;
}

}  // namespace distill
