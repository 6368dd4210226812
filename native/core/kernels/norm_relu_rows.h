#pragma once

#include <cstdint>

#include "core/kernels/rows.h"

// The inner loops of norm_relu_train and FeatureGradient: those of rows.h for pixels whose channels
// are the first of `stride` values, as in a dense block.
//
// g is the gradient of the norm's result: dy where the ReLU passed, else 0.
namespace distill::rows {

// An average pool: each pixel of dy belongs to `repeat` neighbouring pixels of x, each of which has
// this share of it.
struct Incoming {
  int64_t repeat = 1;
  float share = 1;
};
// dx += scale * g, sum += g, product += g * x̂, where g = dy · share. (C) each.
template <typename T, typename G>
void add_norm_relu_backward(const T* x, int64_t stride, const G* dy, Incoming incoming,
                            Backward backward, float* dx, float* sum, float* product, int64_t count,
                            int64_t channels);
// Adds to the sums alone; x and dy without gaps.
template <typename T>
void norm_relu_sums(const T* x, const T* dy, Backward backward, float* sum, float* product,
                    int64_t count, int64_t channels);
// The second pass: dx = scale * g + slope * (x - mean) + offset.
template <typename T>
void norm_relu_backward(const T* x, const T* dy, Backward backward, T* dx, int64_t count,
                        int64_t channels);

// dx = g + slope * (x - mean) + offset. `stride` is that of x and g; dx has no gaps.
template <typename T>
void norm_backward(const T* x, const float* g, int64_t stride, Backward backward, T* dx,
                   int64_t count, int64_t channels);

}  // namespace distill::rows
