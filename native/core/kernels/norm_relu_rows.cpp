#include "core/kernels/norm_relu_rows.h"

#include "core/kernels/vectorized.h"

namespace distill::rows {

template <typename T, typename G>
VERSIONS void add_norm_relu_backward(const T* __restrict x, int64_t stride, const G* __restrict dy,
                                     Incoming incoming, Backward backward, float* __restrict dx,
                                     float* __restrict sum, float* __restrict product,
                                     int64_t count, int64_t channels) {
  const float* __restrict scale = backward.affine.scale;
  const float* __restrict shift = backward.affine.shift;
  const float* __restrict mean = backward.mean;
  const float* __restrict inverse_std = backward.inverse_std;
  const float share = incoming.share;
  for (int64_t i = 0; i < count; i += incoming.repeat, dy += channels) {
    for (int64_t j = 0; j < incoming.repeat; ++j, x += stride, dx += stride) {
      for (int64_t c = 0; c < channels; ++c) {
        const float value = load(x[c]);
        const float g = gate(value * scale[c] + shift[c], load(dy[c]) * share);
        sum[c] += g;
        product[c] += g * ((value - mean[c]) * inverse_std[c]);
        dx[c] += scale[c] * g;
      }
    }
  }
}

template <typename T>
VERSIONS void norm_relu_sums(const T* __restrict x, const T* __restrict dy, Backward backward,
                             float* __restrict sum, float* __restrict product, int64_t count,
                             int64_t channels) {
  const float* __restrict scale = backward.affine.scale;
  const float* __restrict shift = backward.affine.shift;
  const float* __restrict mean = backward.mean;
  const float* __restrict inverse_std = backward.inverse_std;
  for (int64_t i = 0; i < count; ++i, x += channels, dy += channels) {
    for (int64_t c = 0; c < channels; ++c) {
      const float value = load(x[c]);
      const float g = gate(value * scale[c] + shift[c], load(dy[c]));
      sum[c] += g;
      product[c] += g * ((value - mean[c]) * inverse_std[c]);
    }
  }
}

template <typename T>
VERSIONS void norm_relu_backward(const T* __restrict x, const T* __restrict dy, Backward backward,
                                 T* __restrict dx, int64_t count, int64_t channels) {
  const float* __restrict scale = backward.affine.scale;
  const float* __restrict shift = backward.affine.shift;
  const float* __restrict mean = backward.mean;
  const float* __restrict slope = backward.slope;
  const float* __restrict offset = backward.offset;
  for (int64_t i = 0; i < count; ++i, x += channels, dy += channels, dx += channels) {
    for (int64_t c = 0; c < channels; ++c) {
      const float value = load(x[c]);
      const float g = gate(value * scale[c] + shift[c], load(dy[c]));
      store(dx[c], scale[c] * g + (slope[c] * (value - mean[c]) + offset[c]));
    }
  }
}

template <typename T>
VERSIONS void norm_backward(const T* __restrict x, const float* __restrict g, int64_t stride,
                            Backward backward, T* __restrict dx, int64_t count, int64_t channels) {
  const float* __restrict mean = backward.mean;
  const float* __restrict slope = backward.slope;
  const float* __restrict offset = backward.offset;
  for (int64_t i = 0; i < count; ++i, x += stride, g += stride, dx += channels) {
    for (int64_t c = 0; c < channels; ++c) {
      store(dx[c], g[c] + (slope[c] * (load(x[c]) - mean[c]) + offset[c]));
    }
  }
}

#define INSTANTIATE_FOR(T, G)                                                                   \
  template void add_norm_relu_backward(const T*, int64_t, const G*, Incoming, Backward, float*, \
                                       float*, float*, int64_t, int64_t);
#define INSTANTIATE(T)                                                                          \
  template void norm_relu_sums(const T*, const T*, Backward, float*, float*, int64_t, int64_t); \
  template void norm_relu_backward(const T*, const T*, Backward, T*, int64_t, int64_t);         \
  template void norm_backward(const T*, const float*, int64_t, Backward, T*, int64_t, int64_t);

INSTANTIATE(float)
INSTANTIATE(Bf16)
INSTANTIATE_FOR(float, float)
INSTANTIATE_FOR(Bf16, Bf16)
INSTANTIATE_FOR(Bf16, float)

}  // namespace distill::rows
