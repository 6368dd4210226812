#pragma once

#include <cstdint>

#include "core/kernels/bf16.h"

// The inner loops of norm_relu, norm_relu_pool and the stem, over channels that lie side by side.
// Plain C++: the compiler vectorises them for each kind of processor and the right version is
// chosen when the addon loads.
//
// T is the type that activations are stored as, float or Bf16.
namespace distill::rows {

// A channel's normalised value is x * scale + shift. (C) each.
struct Affine {
  const float* scale;  // weight / sqrt(var + eps)
  const float* shift;  // bias - mean * scale
};
// The numbers of a channel for the gradient. (C) each.
struct Backward {
  Affine affine;
  const float* mean;
  const float* inverse_std;
  const float* slope;  // dx = scale * g + slope * (x - mean) + offset
  const float* offset;
};

// sum += x - origin, square += (x - origin)² over `count` pixels whose channels are the first of
// `stride` values. (C) each.
template <typename T>
void moments(const T* x, int64_t stride, const float* origin, float* sum, float* square,
             int64_t count, int64_t channels);

// Pools two rows of pixels -> one row of `count` pixels.
template <typename X, typename Y>
void max2_forward(const X* upper, const X* lower, Affine affine, Y* y, int64_t count,
                  int64_t channels);
// The same, and writes which of its four pixels each pooled one is, or `closed` where ReLU lets no
// gradient pass.
inline constexpr uint8_t closed = 4;
template <typename T>
void max2_winners(const float* upper, const float* lower, Affine affine, T* y, uint8_t* winners,
                  int64_t count, int64_t channels);
// Writes dy of each pooled pixel to the one of its four pixels that it belongs to, and zeros to the
// others; sum += all that is not zero. (C) The channels are a multiple of spread_step.
inline constexpr int64_t spread_step = 16;
template <typename T>
void max2_spread(const T* dy, const uint8_t* winners, float* upper, float* lower, float* sum,
                 int64_t count, int64_t channels);
// sum += g, product += g * x̂, where g is the gradient of the norm's result: dy passed through pool
// and ReLU. (C) each.
template <typename T>
void max2_sums(const T* upper, const T* lower, const T* dy, Backward backward, float* sum,
               float* product, int64_t count, int64_t channels);
template <typename T>
void max2_backward(const T* upper, const T* lower, const T* dy, Backward backward, T* upper_dx,
                   T* lower_dx, int64_t count, int64_t channels);
// The gradient of pixels that no pool reads, for which g is 0.
template <typename T>
void unpooled_backward(const T* x, Backward backward, T* dx, int64_t count, int64_t channels);

// sum += relu(x * scale + shift) over `count` pixels. (C)
template <typename T>
void average_forward(const T* x, Affine affine, float* sum, int64_t count, int64_t channels);
// The same as for max2; dy (C) is the same for all pixels of a picture.
template <typename T>
void average_sums(const T* x, const float* dy, Backward backward, float* sum, float* product,
                  int64_t count, int64_t channels);
template <typename T>
void average_backward(const T* x, const float* dy, Backward backward, T* dx, int64_t count,
                      int64_t channels);

// y = relu(x * scale + shift) for `count` pixels whose channels are the first of `stride` values.
template <typename T>
void norm_relu(const T* x, int64_t stride, Affine affine, T* y, int64_t count, int64_t channels);

// The same, averaged over each 2x2 pixels of two rows. -> `count` pixels
template <typename T>
void norm_relu_average2(const T* upper, const T* lower, int64_t stride, Affine affine, T* y,
                        int64_t count, int64_t channels);

}  // namespace distill::rows
