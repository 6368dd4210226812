#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/checkpoint/checkpoint.h"

namespace distill {

// Parameters and buffers by name, in the order of insertion, as PyTorch's state_dict().
class StateDict {
 public:
  using Entry = std::pair<std::string, at::Tensor>;

  // Names are unique: inserting one twice replaces its tensor.
  void insert(std::string name, at::Tensor tensor);
  // nullptr where there is none.
  const at::Tensor* find(const std::string& name) const;
  // For names known to be there: throws std::out_of_range otherwise.
  const at::Tensor& at(const std::string& name) const;

  size_t size() const { return entries_.size(); }
  auto begin() const { return entries_.begin(); }
  auto end() const { return entries_.end(); }

 private:
  std::vector<Entry> entries_;
  std::unordered_map<std::string, size_t> positions_;
};

// The name, shape and dtype of a tensor that a model needs from a checkpoint.
struct TensorSpec {
  std::string name;
  std::vector<int64_t> shape;
  at::ScalarType dtype = at::kFloat;  // at::kFloat or at::kLong
};

// A tensor of the checkpoint in this dtype, contiguous, on the CPU. Throws
// ERR_CHECKPOINT_NOT_FINITE where it holds NaN, infinity or what is too large for a float32.
at::Tensor read_finite(const Checkpoint& checkpoint, const TensorEntry& entry,
                       at::ScalarType dtype);

// The checkpoint's tensors as `expected` wants them: same names, same shapes, converted to the
// dtypes asked for, contiguous, on the CPU, in the order of `expected`. `what` names the model in
// messages
// ("DenseNet121 with 2 classes").
//
// Throws ERR_CHECKPOINT_MISMATCH with every kind of difference listed, and
// ERR_CHECKPOINT_NOT_FINITE where a tensor holds NaN or infinity. A missing 'num_batches_tracked'
// is 0: PyTorch before 0.4.1 wrote none.
StateDict load_state_dict(const Checkpoint& checkpoint, const std::vector<TensorSpec>& expected,
                          const std::string& what);

}  // namespace distill
