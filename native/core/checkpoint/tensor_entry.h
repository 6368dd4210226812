#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace distill {

// The place of a storage's bytes in the file, and their CRC-32 if the file has one.
struct Extent {
  uint64_t begin = 0;
  uint64_t size = 0;
  std::optional<uint32_t> crc;
};

// One tensor of a checkpoint's state dict: described, not yet read.
struct TensorEntry {
  std::string name;
  at::ScalarType dtype = at::kFloat;
  std::vector<int64_t> shape;
  std::vector<int64_t> strides;  // in elements
  int64_t offset = 0;            // in elements, from the start of the storage
  Extent storage;

  int64_t numel() const {
    int64_t numel = 1;
    for (const auto size : shape) numel *= size;
    return numel;
  }
};

// More than any network's tensor has.
constexpr size_t most_dimensions = 16;
// More elements than any file holds: sums and products of a few stay far from overflow.
constexpr int64_t most_elements = int64_t{1} << 40;

// Tells whether a tensor stays within its storage, whose elements end at `end`, and shows it no
// more often than a network's would. Sizes, strides and offset are at most `most_elements`, strides
// as many as sizes.
bool stays_within(const TensorEntry& tensor, int64_t end);

}  // namespace distill
