#pragma once

#include <cstdint>

// The inner loops of winograd.h, over channels that lie side by side; one version for each kind of
// processor, chosen when the addon loads.
//
// The pictures are cut into tiles of 4x4 results, which 6x6 inputs make (they overlap by two). With
// B, G and A the matrices of F(4x4, 3x3), for each tile and pair of channels:
//   y = Aᵀ [(G w Gᵀ) ⊙ (Bᵀ x B)] A
// (Lavin & Gray 2016, "Fast Algorithms for Convolutional Neural Networks"): 36 multiplications
// where the direct way needs 144. Summed over input channels before Aᵀ·A, the products of each of
// the 36 positions are a matrix product, tiles x in x out.
namespace distill::winograd {

inline constexpr int64_t positions = 36;
// What channels must be multiples of.
inline constexpr int64_t channel_step = 32;

// One 3x3 convolution, stride 1, padding 1, of pictures in channels-last memory.
struct Convolution {
  int64_t batch, height, width;
  int64_t in, out;
  int64_t tile_rows() const { return (height + 3) / 4; }
  int64_t tile_columns() const { return (width + 3) / 4; }
  int64_t tiles() const { return batch * tile_rows() * tile_columns(); }
};
// A part of the tiles, counted row by row over the whole batch.
struct TileRange {
  int64_t first, count;
};

// Floats of G w Gᵀ as convolve() reads it.
int64_t transformed_weight_size(int64_t in, int64_t out);
// `lines` of the (out / panel) * in lines that convolve() reads.
// weight: (out, 3, 3, in).
void transform_weight(const float* weight, int64_t in, int64_t out, int64_t first, int64_t last,
                      float* transformed);
// The weight of the input gradient: turned by 180 degrees, in and out swapped.
void transform_turned_weight(const float* weight, int64_t in, int64_t out, int64_t first,
                             int64_t last, float* transformed);
int64_t weight_lines(int64_t in, int64_t out);

// Floats of scratch for a range of `count` tiles.
int64_t convolve_scratch_size(const Convolution& convolution, int64_t count);
// bias: (out).
void convolve(const Convolution& convolution, const float* x, const float* transformed,
              const float* bias, float* y, TileRange tiles, float* scratch);

// Channels of dy, a part of them.
struct ChannelRange {
  int64_t first, count;
};
int64_t weight_gradient_scratch_size(const Convolution& convolution, int64_t count);
// sums (+)= the range's share of the transformed weight's gradient, for some of the out channels.
void add_weight_gradient(const Convolution& convolution, const float* x, const float* dy,
                         TileRange tiles, ChannelRange out, bool first, float* sums,
                         float* scratch);
// dweight of one out channel, from `parts` sums.
void finish_weight_gradient(int64_t in, const float* sums, int64_t parts, int64_t part_size,
                            int64_t channel, float* dweight);

}  // namespace distill::winograd
