#pragma once

#include <cstdint>

#include "core/kernels/bf16.h"
#include "core/kernels/rows.h"

// The inner loops of stem.h: 3x3 convolutions of RGB pictures, whose pixels lie in padded rows of
// floats: a pixel of zeros, the row's, and another of zeros, (width + 2) * 3 in all. The nine
// values of three neighbouring pixels of a row then lie side by side.
namespace distill::stem_rows {

inline constexpr int64_t row_taps = 9;  // the values of a row for a pixel's result: 3 pixels x RGB
inline constexpr int64_t taps = 27;     // those of all three rows
// The floats of a line that patch_products writes: the taps, a one, and zeros.
inline constexpr int64_t line = 32;
// The number of out channels is a multiple of it.
inline constexpr int64_t channel_step = 32;
// The number of pooled pixels, of four pixels each, that go through the first-level cache at a
// time.
inline constexpr int64_t block_pixels = 16;

// Floats of scratch for the functions that ask for some.
constexpr int64_t scratch_size(int64_t out) {
  return 4 * block_pixels * out;
}

template <typename T>
void pad_row(const T* row, int64_t width, float* padded);

// sums (row_taps, line) = Σ q pᵀ over a row's pixels, where q are the taps in the first of three
// rows and p those in all of them, and a one.
void patch_products(const float* const (&rows)[3], int64_t width, float* sums);

// Two rows of results, convolved, normalised, rectified and pooled to `count` pixels.
// weight: (taps, out). rows: the four that the results are computed from. winners: see rows.h; null
// if not wanted.
template <typename T>
void convolve(const float* const (&rows)[4], const float* weight, rows::Affine affine, T* y,
              uint8_t* winners, int64_t count, int64_t out, float* scratch);

// products (taps, out) += Σ p gᵀ, sums (out) += Σ g over two rows of results, where p are a
// result's taps and g is dy passed through pool and ReLU.
template <typename T>
void add_products(const float* const (&rows)[4], const T* dy, const uint8_t* winners, int64_t count,
                  int64_t out, float* products, float* sums, float* scratch);

}  // namespace distill::stem_rows
