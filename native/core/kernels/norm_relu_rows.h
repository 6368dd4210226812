#pragma once

#include <cstdint>

#include "core/kernels/rows.h"

// The inner loops of norm_relu_train: those of rows.h for pixels whose channels are the first of
// `stride` values, as in a dense block.
namespace distill::rows {

// With g = dy · share where the ReLU passed, else 0: sum += g, product += g * x̂. (C) each.
// Each pixel of dy stands for `repeat` pixels of x.
struct Incoming {
  int64_t repeat = 1;
  float share = 1;
};
// dx += scale * g.
template <typename T, typename G>
void add_norm_relu_backward(const T* x, int64_t stride, const G* dy, Incoming incoming,
                            Backward backward, float* dx, float* sum, float* product, int64_t count,
                            int64_t channels);
// The sums alone; x and dy without gaps.
template <typename T>
void norm_relu_sums(const T* x, const T* dy, Backward backward, float* sum, float* product,
                    int64_t count, int64_t channels);
// And then dx = scale * g + slope * (x - mean) + offset.
template <typename T>
void norm_relu_backward(const T* x, const T* dy, Backward backward, T* dx, int64_t count,
                        int64_t channels);

// dx = g + slope * (x - mean) + offset. `stride` is that of x and g; dx has no gaps.
template <typename T>
void norm_backward(const T* x, const float* g, int64_t stride, Backward backward, T* dx,
                   int64_t count, int64_t channels);

}  // namespace distill::rows
