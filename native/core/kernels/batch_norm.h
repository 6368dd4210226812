#pragma once

#include <ATen/ATen.h>

#include <vector>

#include "core/kernels/channel_sums.h"
#include "core/kernels/rows.h"
#include "core/nn/layers.h"

// BatchNorm as numbers of each channel, for the kernels that compute it together with the layers
// around it. C: the channels.
namespace distill {

// The moments of each channel over a batch, in double precision. (C)
struct ChannelMoments {
  std::vector<double> mean, var;  // var: of the batch itself, see clamp_variance
  double count;                   // values a channel
};

// Rounding may take a variance below zero; NaN stays.
inline double clamp_variance(double var) {
  return var < 0 ? 0 : var;
}

// Measures x, (B, C, H, W) float32 or bfloat16 on the CPU; the channels of a pixel lie side by side
// and may be some of more. `rows_in_float`: see sum_pieces.
ChannelMoments channel_moments(const at::Tensor& x, int64_t rows_in_float);

// The number of rows of x with about 64 pixels, for `rows_in_float`.
int64_t rows_of_64_pixels(const at::Tensor& x);

// The same moments as tensors. (C) float32
struct BatchMoments {
  at::Tensor mean, var, inverse_std;
  double count = 0;

  // Those of some channels, as views.
  BatchMoments narrow(int64_t first, int64_t channels) const;
  // Overwrites those of the channels from `first` on.
  void set_channels(int64_t first, const BatchMoments& others);
};
BatchMoments to_tensors(const ChannelMoments& moments);

// BatchNorm as x * scale + shift. (C) float32
struct Affine {
  at::Tensor scale, shift;

  // For the inner loops; valid as long as the tensors.
  rows::Affine values() const {
    return {scale.const_data_ptr<float>(), shift.const_data_ptr<float>()};
  }
};

// A BatchNorm by the running statistics. x lacks input_bias, (C), the bias of the convolution
// before the norm, which the running mean includes.
Affine running_affine(const BatchNorm2d& norm, const at::Tensor& input_bias);

// A BatchNorm by the moments of a batch.
struct BatchAffine {
  BatchMoments moments;
  Affine affine;

  // Without slope and offset, which follow from the sums of the backward pass.
  rows::Backward for_backward() const;
};
// The norm reads the first of the channels that `moments` has.
BatchAffine batch_affine(const BatchMoments& moments, const BatchNorm2d& norm);

// Moves the running statistics towards those of a batch, and counts it. In double precision, of x
// without input_bias.
void move_running_statistics(const BatchNorm2d& norm, const ChannelMoments& moments,
                             const at::Tensor& input_bias);
// The same in float32, of moments that several norms share.
void move_running_statistics(const BatchNorm2d& norm, const BatchMoments& moments);

// Adds the terms of dx that all pixels of a channel share, slope · (x − mean) + offset, given
// Σ g and Σ g x̂. (C)
void add_shared_terms(const BatchAffine& affine, const ChannelSums& sums, double* slope,
                      double* offset);

// The gradients of a norm's input and parameters.
struct NormGradients {
  at::Tensor x, weight, bias;
};

}  // namespace distill
