#pragma once

#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "core/checkpoint/state_dict.h"

namespace distill {

// Fills a model's tensors from a checkpoint, strictly. `what` names the model in messages. Throws
// what load_state_dict() throws, and ERR_CHECKPOINT_CORRUPT where a variance is negative.
void load_weights(StateDict& model, const Checkpoint& checkpoint, const std::string& what);

// True if the weight of a last linear layer, (classes, features), has a plausible number of
// classes: a model is created with the size in the file before the rest of the file is compared
// with it.
bool plausible_classes(const TensorEntry& weight);

// Moves a model's tensors to a device, in place: the layers share them.
void move_weights(StateDict& model, at::Device device);

// A model's tensors on the CPU: the tensors themselves, or copies of them, for which the host waits
// once.
StateDict on_host(const StateDict& model);

// The parameters that an optimizer moves, in the model's order: all tensors but the running
// statistics.
std::vector<at::Tensor> trainable(const StateDict& model);

// The number of elements in all of them.
int64_t count_elements(const std::vector<at::Tensor>& tensors);

}  // namespace distill
