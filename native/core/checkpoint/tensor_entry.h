#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace distill {

// One tensor of a checkpoint's state dict: described, not yet read.
struct TensorEntry {
  std::string name;
  at::ScalarType dtype = at::kFloat;
  std::vector<int64_t> shape;
  std::vector<int64_t> strides;  // in elements
  int64_t offset = 0;            // in elements, from the start of the storage
  std::string_view storage;      // the storage's bytes; the view lasts as the checkpoint does

  int64_t numel() const {
    int64_t numel = 1;
    for (const auto size : shape) numel *= size;
    return numel;
  }
};

// More than any network's tensor has.
constexpr size_t most_dimensions = 16;

}  // namespace distill
