#include "core/checkpoint/state_dict.h"

#include <ATen/ops/isfinite.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cstring>
#include <unordered_set>

#include "core/checkpoint/text.h"
#include "core/error.h"

namespace distill {
namespace {

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text;
  for (const auto size : shape) text += (text.empty() ? "" : ", ") + std::to_string(size);
  return "(" + text + ")";
}

bool may_be_missing(const TensorSpec& spec) {
  return spec.name.ends_with(".num_batches_tracked");
}

void refuse_differences(const Checkpoint& checkpoint, const std::vector<TensorSpec>& expected,
                        const std::unordered_map<std::string_view, const TensorEntry*>& entries,
                        const std::string& what) {
  std::vector<std::string> missing, unexpected, misshapen;
  std::unordered_set<std::string_view> names;
  for (const auto& spec : expected) {
    names.insert(spec.name);
    const auto found = entries.find(spec.name);
    if (found == entries.end()) {
      if (!may_be_missing(spec)) missing.push_back(spec.name);
    } else if (found->second->shape != spec.shape) {
      misshapen.push_back(spec.name + " is " + shape_text(found->second->shape) + " instead of " +
                          shape_text(spec.shape));
    } else if (at::isComplexType(found->second->dtype)) {
      misshapen.push_back(spec.name + " is complex");
    }
  }
  for (const auto& entry : checkpoint.tensors()) {
    if (!names.contains(entry.name)) unexpected.push_back(printable(entry.name));
  }

  std::string differences;
  const auto add = [&](const char* kind, const std::vector<std::string>& items) {
    if (items.empty()) return;
    differences += (differences.empty() ? "" : "; ") + std::to_string(items.size()) + " " + kind +
                   " (" + first_ten(items) + ")";
  };
  add("missing", missing);
  add("unexpected", unexpected);
  add("of another shape", misshapen);
  if (!differences.empty()) {
    throw Error("ERR_CHECKPOINT_MISMATCH",
                "'" + checkpoint.path() + "' does not fit " + what + ": " + differences +
                    "; check the architecture and the number of classes");
  }
}

// A float is NaN or infinite where its exponent's bits are all set. One pass without temporaries.
bool is_finite(const at::Tensor& floats) {
  const auto* bits = static_cast<const char*>(floats.const_data_ptr());
  constexpr uint32_t exponent = 0x7F800000;
  uint32_t found = 0;
  for (int64_t i = 0; i < floats.numel(); ++i) {
    uint32_t word;
    std::memcpy(&word, bits + i * sizeof word, sizeof word);
    found |= (word & exponent) == exponent;
  }
  return !found;
}

}  // namespace

void StateDict::insert(std::string name, at::Tensor tensor) {
  const auto [position, is_new] = positions_.emplace(name, entries_.size());
  if (is_new) {
    entries_.emplace_back(std::move(name), std::move(tensor));
  } else {
    entries_[position->second].second = std::move(tensor);
  }
}

const at::Tensor* StateDict::find(const std::string& name) const {
  const auto found = positions_.find(name);
  return found == positions_.end() ? nullptr : &entries_[found->second].second;
}

const at::Tensor& StateDict::at(const std::string& name) const {
  return entries_[positions_.at(name)].second;
}

at::Tensor read_finite(const Checkpoint& checkpoint, const TensorEntry& entry,
                       at::ScalarType dtype) {
  const at::Tensor tensor = checkpoint.read(entry);
  // Values are judged as floats: a double may be too large for one, and a count is never NaN.
  const auto floats = tensor.is_floating_point() ? tensor.to(at::kFloat) : tensor;
  if (floats.is_floating_point() && !is_finite(floats)) {
    throw Error("ERR_CHECKPOINT_NOT_FINITE",
                "the tensor '" + entry.name + "' in '" + checkpoint.path() +
                    "' holds NaN, infinite or too large values: use a checkpoint from before the "
                    "training diverged");
  }
  return tensor.to(dtype);
}

StateDict load_state_dict(const Checkpoint& checkpoint, const std::vector<TensorSpec>& expected,
                          const std::string& what) {
  std::unordered_map<std::string_view, const TensorEntry*> entries;
  for (const auto& entry : checkpoint.tensors()) entries.emplace(entry.name, &entry);
  refuse_differences(checkpoint, expected, entries, what);

  StateDict state_dict;
  for (const auto& spec : expected) {
    const auto entry = entries.find(spec.name);
    auto tensor = entry == entries.end() ? at::zeros(spec.shape, spec.dtype)
                                         : read_finite(checkpoint, *entry->second, spec.dtype);
    state_dict.insert(spec.name, std::move(tensor));
  }
  return state_dict;
}

}  // namespace distill
