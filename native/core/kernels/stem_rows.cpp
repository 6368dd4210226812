#include "core/kernels/stem_rows.h"

#include <algorithm>

#include "core/kernels/panels.h"

namespace distill::stem_rows {
namespace {

using namespace panels;

template <typename R>
INLINE void products_of_row(const float* const (&rows)[3], int64_t width, float* sums) {
  float patches[2 * block_pixels * line];
  std::fill_n(sums, row_taps * line, 0.0f);
  for (int64_t first = 0; first < width; first += 2 * block_pixels) {
    const int64_t count = std::min(2 * block_pixels, width - first);
    for (int64_t i = 0; i < count; ++i) {
      float* const patch = patches + i * line;
      for (int r = 0; r < 3; ++r) {
        std::memcpy(patch + r * row_taps, rows[r] + (first + i) * 3, row_taps * sizeof(float));
      }
      patch[taps] = 1;
      std::fill(patch + taps + 1, patch + line, 0.0f);
    }
    for (int64_t c = 0; c < line; c += R::panel) {
      multiply<R, true>(row_taps, {patches, 1, line}, {patches + c, line}, count, {sums + c, line});
    }
  }
}

// A panel of results of `pixels` neighbouring pixels.
template <typename R, int pixels>
INLINE void convolve_pixels(const float* const (&rows)[3], const float* weight, int64_t first,
                            int64_t out, float* results) {
  using V = typename R::Vector;
  V sum[pixels][R::vectors] = {};
  for (int r = 0; r < 3; ++r) {
    const float* values = rows[r] + 3 * first;
    for (int64_t k = 0; k < row_taps; ++k, ++values, weight += out) {
      V factors[R::vectors];
      for (int j = 0; j < R::vectors; ++j) load(factors[j], weight + j * R::lanes);
      for (int i = 0; i < pixels; ++i) {
        for (int j = 0; j < R::vectors; ++j) sum[i][j] += factors[j] * values[3 * i];
      }
    }
  }
  for (int i = 0; i < pixels; ++i) {
    for (int j = 0; j < R::vectors; ++j) store(results + i * out + j * R::lanes, sum[i][j]);
  }
}

template <typename R, int pixels = R::rows>
INLINE void convolve_group(int64_t count, const float* const (&rows)[3], const float* weight,
                           int64_t first, int64_t out, float* results) {
  if constexpr (pixels > 0) {
    if (count == pixels) return convolve_pixels<R, pixels>(rows, weight, first, out, results);
    convolve_group<R, pixels - 1>(count, rows, weight, first, out, results);
  }
}

// Results of `count` pixels from `first` on, (count, out).
template <typename R>
INLINE void convolve_row(const float* const (&rows)[3], const float* weight, int64_t first,
                         int64_t count, int64_t out, float* results) {
  const int64_t groups = (count + R::rows - 1) / R::rows;
  for (int64_t o = 0; o < out; o += R::panel) {
    for (int64_t i = 0; i < groups; ++i) {
      const int64_t begin = i * count / groups, end = (i + 1) * count / groups;
      convolve_group<R>(end - begin, rows, weight + o, first + begin, out,
                        results + begin * out + o);
    }
  }
}

template <typename R, typename T>
INLINE void convolve_rows(const float* const (&rows)[4], const float* weight, rows::Affine affine,
                          T* y, uint8_t* winners, int64_t count, int64_t out, float* scratch) {
  for (int64_t first = 0; first < count; first += block_pixels) {
    const int64_t pixels = std::min(block_pixels, count - first);
    float *const upper = scratch, *const lower = scratch + 2 * pixels * out;
    convolve_row<R>({rows[0], rows[1], rows[2]}, weight, 2 * first, 2 * pixels, out, upper);
    convolve_row<R>({rows[1], rows[2], rows[3]}, weight, 2 * first, 2 * pixels, out, lower);
    if (winners) {
      rows::max2_winners(upper, lower, affine, y + first * out, winners + first * out, pixels, out);
    } else {
      rows::max2_forward(upper, lower, affine, y + first * out, pixels, out);
    }
  }
}

template <typename R, typename T>
INLINE void products_of_rows(const float* const (&rows)[4], const T* dy, const uint8_t* winners,
                             int64_t count, int64_t out, float* products, float* sums,
                             float* scratch) {
  for (int64_t first = 0; first < count; first += block_pixels) {
    const int64_t pixels = std::min(block_pixels, count - first);
    float* const gradients[2] = {scratch, scratch + 2 * pixels * out};
    rows::max2_spread(dy + first * out, winners + first * out, gradients[0], gradients[1], sums,
                      pixels, out);
    for (int64_t o = 0; o < out; o += R::panel) {
      for (int r = 0; r < 2; ++r) {
        for (int tap_row = 0; tap_row < 3; ++tap_row) {
          multiply<R, true>(row_taps, {rows[r + tap_row] + 6 * first, 1, 3},
                            {gradients[r] + o, out}, 2 * pixels,
                            {products + tap_row * row_taps * out + o, out});
        }
      }
    }
  }
}

}  // namespace

template <typename T>
void pad_row(const T* row, int64_t width, float* padded) {
  std::fill_n(padded, 3, 0.0f);
  for (int64_t i = 0; i < 3 * width; ++i) padded[3 + i] = load(row[i]);
  std::fill_n(padded + 3 * (width + 1), 3, 0.0f);
}

void patch_products(const float* const (&rows)[3], int64_t width, float* sums) {
  for_processor<float>([&]<typename R>(R) INLINED { products_of_row<R>(rows, width, sums); });
}

template <typename T>
void convolve(const float* const (&rows)[4], const float* weight, rows::Affine affine, T* y,
              uint8_t* winners, int64_t count, int64_t out, float* scratch) {
  for_processor<float>([&]<typename R>(R) INLINED {
    convolve_rows<R>(rows, weight, affine, y, winners, count, out, scratch);
  });
}

template <typename T>
void add_products(const float* const (&rows)[4], const T* dy, const uint8_t* winners, int64_t count,
                  int64_t out, float* products, float* sums, float* scratch) {
  for_processor<float>([&]<typename R>(R) INLINED {
    products_of_rows<R>(rows, dy, winners, count, out, products, sums, scratch);
  });
}

#define INSTANTIATE(T)                                                                             \
  template void pad_row(const T*, int64_t, float*);                                                \
  template void convolve(const float* const(&)[4], const float*, rows::Affine, T*, uint8_t*,       \
                         int64_t, int64_t, float*);                                                \
  template void add_products(const float* const(&)[4], const T*, const uint8_t*, int64_t, int64_t, \
                             float*, float*, float*);

INSTANTIATE(float)
INSTANTIATE(Bf16)

}  // namespace distill::stem_rows
