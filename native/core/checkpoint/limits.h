#pragma once

#include <cstddef>

#include "core/checkpoint/byte_reader.h"

namespace distill {

// Limits of what a file describes. A few bytes describe a tensor that takes hundreds to list:
// without a limit, a small file could ask for much memory. A training checkpoint of a DenseNet201
// with Adam's state has 2,500 tensors.
constexpr size_t most_tensors = size_t{1} << 15;
constexpr size_t longest_name = 256;

// Throws ERR_CHECKPOINT_CORRUPT where there are as many tensors already; `file` names the file.
inline void expect_few_tensors(size_t count, const std::string& file) {
  if (count >= most_tensors) throw_damaged(file, "it holds more tensors than any network");
}

}  // namespace distill
