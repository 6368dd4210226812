#include "core/checkpoint/tensor_entry.h"

#include <algorithm>

namespace distill {
namespace {

// A tensor may show its storage several times over (expand()): up to this many elements, so that a
// small file cannot ask for much memory.
constexpr int64_t most_expanded_elements = int64_t{1} << 22;

}  // namespace

bool stays_within(const TensorEntry& tensor, int64_t end) {
  const auto most = std::max(end, most_expanded_elements);
  int64_t numel = 1;
  for (const auto size : tensor.shape) {
    if (size > most / numel) return false;
    numel *= std::max<int64_t>(size, 1);
  }
  if (tensor.numel() == 0) return true;
  auto last = tensor.offset;
  for (size_t i = 0; i < tensor.shape.size(); ++i) {
    const auto steps = tensor.shape[i] - 1;
    if (steps == 0) continue;
    if (tensor.strides[i] > end / steps) return false;
    last += steps * tensor.strides[i];
  }
  return last < end;
}

}  // namespace distill
