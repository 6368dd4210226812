#pragma once

#include <cstdint>

// The inner loops of norm_relu_pool, over channels that lie side by side. Plain C++: the compiler
// vectorises them for each kind of processor and the right version is chosen when the addon loads.
namespace distill::rows {

// What turns a channel's x into its normalised value, x * scale + shift, and its gradient. (C)
// each.
struct Affine {
  const float* scale;  // weight / sqrt(var + eps)
  const float* shift;  // bias - mean * scale
};
struct Backward {
  Affine affine;
  const float* mean;
  const float* inverse_std;
  const float* slope;  // dx = scale * g + slope * (x - mean) + offset
  const float* offset;
};

// sum += x - origin, square += (x - origin)² over `count` pixels. (C) each.
void moments(const float* x, const float* origin, float* sum, float* square, int64_t count,
             int64_t channels);

// Two rows of pixels -> one row of `count` pooled ones.
void max2_forward(const float* upper, const float* lower, Affine affine, float* y, int64_t count,
                  int64_t channels);
// sum += g, product += g * x̂, where g is what reaches the BatchNorm of dy. (C) each.
void max2_sums(const float* upper, const float* lower, const float* dy, Backward backward,
               float* sum, float* product, int64_t count, int64_t channels);
void max2_backward(const float* upper, const float* lower, const float* dy, Backward backward,
                   float* upper_dx, float* lower_dx, int64_t count, int64_t channels);
// Pixels that no pool looks at: g is 0.
void unpooled_backward(const float* x, Backward backward, float* dx, int64_t count,
                       int64_t channels);

// sum += relu(x * scale + shift) over `count` pixels. (C)
void average_forward(const float* x, Affine affine, float* sum, int64_t count, int64_t channels);
// As for max2; dy (C) is the same for all pixels of a picture.
void average_sums(const float* x, const float* dy, Backward backward, float* sum, float* product,
                  int64_t count, int64_t channels);
void average_backward(const float* x, const float* dy, Backward backward, float* dx, int64_t count,
                      int64_t channels);

}  // namespace distill::rows
