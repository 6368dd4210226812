#include "core/models/shipped_network.h"

#include <c10/core/GradMode.h>

#include <algorithm>
#include <map>

#include "core/nn/weights.h"

namespace distill {
namespace {

// Weights of convolutions and linear layers. Names and shapes of norms' tensors follow from theirs.
template <typename Tensor>
bool is_weight(const Tensor& tensor) {
  return tensor.shape.size() >= 2;
}

// The weights of an architecture, which are read once.
const std::vector<ShippedTensor>& weights_of(const ShippedFile& file) {
  static const std::map<std::string_view, std::vector<ShippedTensor>> all = [] {
    std::map<std::string_view, std::vector<ShippedTensor>> weights;
    for (const ShippedFile& each : shipped_files()) {
      auto tensors = shipped_tensors(each.text);
      std::erase_if(tensors, [](const ShippedTensor& tensor) { return !is_weight(tensor); });
      weights.emplace(each.name, std::move(tensors));
    }
    return weights;
  }();
  return all.at(file.name);
}

}  // namespace

ShippedNetwork::ShippedNetwork(const ShippedFile& file, int64_t classes)
    : GraphNetwork(shipped_graph(file.text, classes), std::string(file.name), classes),
      file_(file) {}

void ShippedNetwork::initialize(at::Generator generator) {
  const c10::NoGradGuard no_grad;
  for (const auto& [operation, name, numbers] : shipped_draws(file_.text, classes())) {
    at::Tensor weight = state().at(name);
    if (operation == "fill_") {
      weight.fill_(numbers.at(0));
      continue;
    }
    // In the order of PyTorch's memory, which may not be that of the weight.
    const at::Tensor drawn = at::empty(weight.sizes());
    if (operation == "uniform_") {
      weight.copy_(drawn.uniform_(numbers.at(0), numbers.at(1), generator));
    } else {
      weight.copy_(drawn.normal_(numbers.at(0), numbers.at(1), generator));
    }
  }
}

std::string shipped_head(const ShippedFile& file) {
  for (const ShippedTensor& weight : weights_of(file)) {
    constexpr std::string_view ending = ".weight";
    if (weight.shape[0] == ShippedTensor::classes && weight.name.ends_with(ending)) {
      return weight.name.substr(0, weight.name.size() - ending.size());
    }
  }
  return {};
}

std::optional<int64_t> shipped_classes(const Checkpoint& checkpoint, const ShippedFile& file) {
  const auto& expected = weights_of(file);
  const auto& tensors = checkpoint.tensors();
  if (std::count_if(tensors.begin(), tensors.end(), is_weight<TensorEntry>) !=
      std::ssize(expected)) {
    return {};
  }
  std::optional<int64_t> classes;
  for (const ShippedTensor& weight : expected) {
    const TensorEntry* entry = checkpoint.find(weight.name);
    if (!entry || entry->shape.size() != weight.shape.size()) return {};
    for (size_t i = 0; i < weight.shape.size(); ++i) {
      if (weight.shape[i] != ShippedTensor::classes && weight.shape[i] != entry->shape[i])
        return {};
    }
    if (weight.shape[0] == ShippedTensor::classes) {
      if (!plausible_classes(*entry)) return {};
      classes = entry->shape[0];
    }
  }
  return classes;
}

}  // namespace distill
