#include "core/kernels/rows.h"

#include "core/kernels/vectorized.h"

namespace distill::rows {
namespace {

// The largest of the four normalised values of a pool and the x that it came from. As in PyTorch's
// MaxPool, the first of equals wins, and NaN beats everything.
struct Winner {
  float value, x;
  int32_t position;
};

[[gnu::always_inline]] inline Winner winner(float x0, float x1, float x2, float x3, float scale,
                                            float shift) {
  const float v0 = x0 * scale + shift, v1 = x1 * scale + shift;
  const float v2 = x2 * scale + shift, v3 = x3 * scale + shift;
  Winner best{v0, x0, 0};
  const bool one = (v1 > best.value) | (v1 != v1);
  best = {one ? v1 : best.value, one ? x1 : best.x, one ? 1 : best.position};
  const bool two = (v2 > best.value) | (v2 != v2);
  best = {two ? v2 : best.value, two ? x2 : best.x, two ? 2 : best.position};
  const bool three = (v3 > best.value) | (v3 != v3);
  return {three ? v3 : best.value, three ? x3 : best.x, three ? 3 : best.position};
}

}  // namespace

template <typename T>
VERSIONS void moments(const T* __restrict x, int64_t stride, const float* __restrict origin,
                      float* __restrict sum, float* __restrict square, int64_t count,
                      int64_t channels) {
  for (int64_t i = 0; i < count; ++i, x += stride) {
    for (int64_t c = 0; c < channels; ++c) {
      const float d = load(x[c]) - origin[c];
      sum[c] += d;
      square[c] += d * d;
    }
  }
}

template <typename X, typename Y>
VERSIONS void max2_forward(const X* __restrict upper, const X* __restrict lower, Affine affine,
                           Y* __restrict y, int64_t count, int64_t channels) {
  const float* __restrict scale = affine.scale;
  const float* __restrict shift = affine.shift;
  for (int64_t i = 0; i < count; ++i, y += channels) {
    const X* __restrict x0 = upper + 2 * i * channels;
    const X* __restrict x2 = lower + 2 * i * channels;
    for (int64_t c = 0; c < channels; ++c) {
      store(y[c], relu(winner(load(x0[c]), load(x0[c + channels]), load(x2[c]),
                              load(x2[c + channels]), scale[c], shift[c])
                           .value));
    }
  }
}

template <typename T>
VERSIONS void max2_winners(const float* __restrict upper, const float* __restrict lower,
                           Affine affine, T* __restrict y, uint8_t* __restrict winners,
                           int64_t count, int64_t channels) {
  const float* __restrict scale = affine.scale;
  const float* __restrict shift = affine.shift;
  for (int64_t i = 0; i < count; ++i, y += channels, winners += channels) {
    const float* __restrict x0 = upper + 2 * i * channels;
    const float* __restrict x2 = lower + 2 * i * channels;
    for (int64_t c = 0; c < channels; ++c) {
      const Winner best =
          winner(x0[c], x0[c + channels], x2[c], x2[c + channels], scale[c], shift[c]);
      const bool open = !(best.value <= 0);
      store(y[c], keep_if(open, best.value));
      winners[c] = static_cast<uint8_t>(open ? best.position : closed);
    }
  }
}

// Goes in fixed steps: from a row of bytes the compiler would make vectors longer than a pixel's
// channels, and leave the channels to a loop of single ones.
template <typename T>
VERSIONS void max2_spread(const T* __restrict dy, const uint8_t* __restrict winners,
                          float* __restrict upper, float* __restrict lower, float* __restrict sum,
                          int64_t count, int64_t channels) {
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t first = 0; first < channels; first += spread_step) {
      const T* __restrict gradient = dy + i * channels + first;
      const uint8_t* __restrict code = winners + i * channels + first;
      float* __restrict g0 = upper + 2 * i * channels + first;
      float* __restrict g2 = lower + 2 * i * channels + first;
      float* __restrict g1 = g0 + channels;
      float* __restrict g3 = g2 + channels;
      float* __restrict total = sum + first;
      for (int64_t c = 0; c < spread_step; ++c) {
        const float g = load(gradient[c]);
        const int32_t winner = code[c];
        total[c] += keep_if(winner != closed, g);
        g0[c] = keep_if(winner == 0, g);
        g1[c] = keep_if(winner == 1, g);
        g2[c] = keep_if(winner == 2, g);
        g3[c] = keep_if(winner == 3, g);
      }
    }
  }
}

template <typename T>
VERSIONS void max2_sums(const T* __restrict upper, const T* __restrict lower,
                        const T* __restrict dy, Backward backward, float* __restrict sum,
                        float* __restrict product, int64_t count, int64_t channels) {
  const float* __restrict scale = backward.affine.scale;
  const float* __restrict shift = backward.affine.shift;
  const float* __restrict mean = backward.mean;
  const float* __restrict inverse_std = backward.inverse_std;
  for (int64_t i = 0; i < count; ++i, dy += channels) {
    const T* __restrict x0 = upper + 2 * i * channels;
    const T* __restrict x2 = lower + 2 * i * channels;
    for (int64_t c = 0; c < channels; ++c) {
      const Winner best = winner(load(x0[c]), load(x0[c + channels]), load(x2[c]),
                                 load(x2[c + channels]), scale[c], shift[c]);
      const float g = gate(best.value, load(dy[c]));
      sum[c] += g;
      product[c] += g * ((best.x - mean[c]) * inverse_std[c]);
    }
  }
}

template <typename T>
VERSIONS void max2_backward(const T* __restrict upper, const T* __restrict lower,
                            const T* __restrict dy, Backward backward, T* __restrict upper_dx,
                            T* __restrict lower_dx, int64_t count, int64_t channels) {
  const float* __restrict scale = backward.affine.scale;
  const float* __restrict shift = backward.affine.shift;
  const float* __restrict mean = backward.mean;
  const float* __restrict slope = backward.slope;
  const float* __restrict offset = backward.offset;
  for (int64_t i = 0; i < count; ++i, dy += channels) {
    const T* __restrict x0 = upper + 2 * i * channels;
    const T* __restrict x2 = lower + 2 * i * channels;
    T* __restrict dx0 = upper_dx + 2 * i * channels;
    T* __restrict dx2 = lower_dx + 2 * i * channels;
    T* __restrict dx1 = dx0 + channels;
    T* __restrict dx3 = dx2 + channels;
    for (int64_t c = 0; c < channels; ++c) {
      const float a0 = load(x0[c]), a1 = load(x0[c + channels]);
      const float a2 = load(x2[c]), a3 = load(x2[c + channels]);
      const Winner best = winner(a0, a1, a2, a3, scale[c], shift[c]);
      const float g = scale[c] * gate(best.value, load(dy[c]));
      const float center = mean[c], k = slope[c], b = offset[c];
      const float d0 = keep_if(best.position == 0, g) + (k * (a0 - center) + b);
      const float d1 = keep_if(best.position == 1, g) + (k * (a1 - center) + b);
      const float d2 = keep_if(best.position == 2, g) + (k * (a2 - center) + b);
      const float d3 = keep_if(best.position == 3, g) + (k * (a3 - center) + b);
      store(dx0[c], d0);
      store(dx1[c], d1);
      store(dx2[c], d2);
      store(dx3[c], d3);
    }
  }
}

template <typename T>
VERSIONS void unpooled_backward(const T* __restrict x, Backward backward, T* __restrict dx,
                                int64_t count, int64_t channels) {
  const float* __restrict mean = backward.mean;
  const float* __restrict slope = backward.slope;
  const float* __restrict offset = backward.offset;
  for (int64_t i = 0; i < count; ++i, x += channels, dx += channels) {
    for (int64_t c = 0; c < channels; ++c)
      store(dx[c], slope[c] * (load(x[c]) - mean[c]) + offset[c]);
  }
}

template <typename T>
VERSIONS void average_forward(const T* __restrict x, Affine affine, float* __restrict sum,
                              int64_t count, int64_t channels) {
  const float* __restrict scale = affine.scale;
  const float* __restrict shift = affine.shift;
  for (int64_t i = 0; i < count; ++i, x += channels) {
    for (int64_t c = 0; c < channels; ++c) sum[c] += relu(load(x[c]) * scale[c] + shift[c]);
  }
}

template <typename T>
VERSIONS void average_sums(const T* __restrict x, const float* __restrict dy, Backward backward,
                           float* __restrict sum, float* __restrict product, int64_t count,
                           int64_t channels) {
  const float* __restrict scale = backward.affine.scale;
  const float* __restrict shift = backward.affine.shift;
  const float* __restrict mean = backward.mean;
  const float* __restrict inverse_std = backward.inverse_std;
  for (int64_t i = 0; i < count; ++i, x += channels) {
    for (int64_t c = 0; c < channels; ++c) {
      const float g = gate(load(x[c]) * scale[c] + shift[c], dy[c]);
      sum[c] += g;
      product[c] += g * ((load(x[c]) - mean[c]) * inverse_std[c]);
    }
  }
}

template <typename T>
VERSIONS void average_backward(const T* __restrict x, const float* __restrict dy, Backward backward,
                               T* __restrict dx, int64_t count, int64_t channels) {
  const float* __restrict scale = backward.affine.scale;
  const float* __restrict shift = backward.affine.shift;
  const float* __restrict mean = backward.mean;
  const float* __restrict slope = backward.slope;
  const float* __restrict offset = backward.offset;
  for (int64_t i = 0; i < count; ++i, x += channels, dx += channels) {
    for (int64_t c = 0; c < channels; ++c) {
      const float value = load(x[c]);
      store(dx[c], scale[c] * gate(value * scale[c] + shift[c], dy[c]) +
                       (slope[c] * (value - mean[c]) + offset[c]));
    }
  }
}

template <typename T>
VERSIONS void norm_relu(const T* __restrict x, int64_t stride, Affine affine, T* __restrict y,
                        int64_t count, int64_t channels) {
  const float* __restrict scale = affine.scale;
  const float* __restrict shift = affine.shift;
  for (int64_t i = 0; i < count; ++i, x += stride, y += channels) {
    for (int64_t c = 0; c < channels; ++c) store(y[c], relu(load(x[c]) * scale[c] + shift[c]));
  }
}

template <typename T>
VERSIONS void norm_relu_average2(const T* __restrict upper, const T* __restrict lower,
                                 int64_t stride, Affine affine, T* __restrict y, int64_t count,
                                 int64_t channels) {
  const float* __restrict scale = affine.scale;
  const float* __restrict shift = affine.shift;
  for (int64_t i = 0; i < count; ++i, y += channels) {
    const T* __restrict x0 = upper + 2 * i * stride;
    const T* __restrict x2 = lower + 2 * i * stride;
    for (int64_t c = 0; c < channels; ++c) {
      const float sum = relu(load(x0[c]) * scale[c] + shift[c]) +
                        relu(load(x0[c + stride]) * scale[c] + shift[c]) +
                        relu(load(x2[c]) * scale[c] + shift[c]) +
                        relu(load(x2[c + stride]) * scale[c] + shift[c]);
      store(y[c], sum / 4);
    }
  }
}

#define INSTANTIATE(T)                                                                            \
  template void moments(const T*, int64_t, const float*, float*, float*, int64_t, int64_t);       \
  template void max2_forward(const T*, const T*, Affine, T*, int64_t, int64_t);                   \
  template void max2_winners(const float*, const float*, Affine, T*, uint8_t*, int64_t, int64_t); \
  template void max2_spread(const T*, const uint8_t*, float*, float*, float*, int64_t, int64_t);  \
  template void max2_sums(const T*, const T*, const T*, Backward, float*, float*, int64_t,        \
                          int64_t);                                                               \
  template void max2_backward(const T*, const T*, const T*, Backward, T*, T*, int64_t, int64_t);  \
  template void unpooled_backward(const T*, Backward, T*, int64_t, int64_t);                      \
  template void average_forward(const T*, Affine, float*, int64_t, int64_t);                      \
  template void average_sums(const T*, const float*, Backward, float*, float*, int64_t, int64_t); \
  template void average_backward(const T*, const float*, Backward, T*, int64_t, int64_t);         \
  template void norm_relu(const T*, int64_t, Affine, T*, int64_t, int64_t);                       \
  template void norm_relu_average2(const T*, const T*, int64_t, Affine, T*, int64_t, int64_t);

INSTANTIATE(float)
INSTANTIATE(Bf16)
template void max2_forward(const float*, const float*, Affine, Bf16*, int64_t, int64_t);

}  // namespace distill::rows
