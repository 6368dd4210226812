#pragma once

#include <cstdint>

#include "core/kernels/bf16.h"

// The inner loops of winograd.h, over channels that lie side by side.
//
// y = Aᵀ [ Σ (G w Gᵀ) ⊙ (Bᵀ x B) ] A  for each tile of 4x4 results, which 6x6 inputs make
// (neighbours share two rows or columns); the sum is over input channels, w is 3x3, and G, B and A
// are the matrices of F(4x4, 3x3): Lavin & Gray 2016, "Fast Algorithms for Convolutional Neural
// Networks", equations 8 and 12. That is a matrix product (tiles x in) (in x out) for each of the
// 36 positions, 36 multiplications where the direct sum has 144.
namespace distill::winograd {

inline constexpr int64_t positions = 36;
// The numbers of channels are multiples of it.
inline constexpr int64_t channel_step = 32;
// The number of output channels that go through a tile's scratch at a time.
inline constexpr int64_t channel_block = 64;

// A 3x3 convolution with stride 1 and padding 1 of (batch, height, width, in) to
// (batch, height, width, out).
struct Convolution {
  int64_t batch, height, width, in, out;
  int64_t tile_rows() const { return (height + 3) / 4; }
  int64_t tile_columns() const { return (width + 3) / 4; }
  int64_t tiles() const { return batch * tile_rows() * tile_columns(); }
};
struct Range {
  int64_t first, last;
  int64_t count() const { return last - first; }
};

// T is the type that activations are stored as, float or Bf16. Transforms are computed in float;
// where the processor multiplies bfloat16, the operands of Bf16's products are rounded to that.
// Values that one of these functions hands to another are laid out for T's products.

// G w Gᵀ in the order in which convolve() reads it, at most positions * in * out words.
// `lines`: some of the weight_lines() that there are, to share among threads.
// weight: (out, 3, 3, in).
template <typename T>
void transform_weight(const float* weight, int64_t in, int64_t out, Range lines,
                      float* transformed);
// The weight of the convolution's input gradient, whose `in` are the convolution's out channels and
// `out` its in channels: turned by 180°. weight: (in, 3, 3, out).
template <typename T>
void transform_turned_weight(const float* weight, int64_t in, int64_t out, Range lines,
                             float* transformed);
int64_t weight_lines(int64_t in, int64_t out);

// Words of scratch for `tiles` tiles at a time, aligned to 64 bytes.
int64_t scratch_size(const Convolution& convolution, int64_t tiles);

// Tiles are counted row by row over the batch.
template <typename T>
void convolve(const Convolution& convolution, const T* x, const float* transformed, T* y,
              Range tiles, float* scratch);

// sums += the tiles' part of the gradient of G w Gᵀ for the out channels `channels`, whose first is
// a multiple of channel_block; `start`: sums have no values yet. sums: positions * in floats for
// each out channel.
template <typename T>
void add_weight_gradient(const Convolution& convolution, const T* x, const T* dy, Range tiles,
                         Range channels, bool start, float* sums, float* scratch);
// Adds `parts` such sums of all out channels, each part after the other, and makes one out
// channel's dweight, (3, 3, in), of them.
template <typename T>
void finish_weight_gradient(int64_t in, int64_t out, const float* sums, int64_t parts,
                            int64_t channel, float* dweight);

}  // namespace distill::winograd
