#pragma once

#include <ATen/ATen.h>

#include <vector>

#include "core/kernels/rows.h"
#include "core/nn/layers.h"

namespace distill {

// What a BatchNorm normalises by, of x without the bias of the convolution that made it.
struct Statistics {
  at::Tensor mean, inverse_std;  // (C) float32
};

// The running ones. They are of x with its bias.
Statistics running_statistics(const at::Tensor& input_bias, const BatchNorm2d& norm);

// Those of a batch of `count` pixels, given each channel's mean and variance; the running ones move
// towards them.
Statistics batch_statistics(const std::vector<double>& mean, const std::vector<double>& var,
                            int64_t count, const at::Tensor& input_bias, const BatchNorm2d& norm);

// x̂ * weight + bias as x * scale + shift.
struct AffineValues {
  AffineValues(const Statistics& statistics, const at::Tensor& weight, const at::Tensor& bias)
      : scale(statistics.inverse_std * weight), shift(bias - statistics.mean * scale) {}
  operator rows::Affine() const {
    return {scale.const_data_ptr<float>(), shift.const_data_ptr<float>()};
  }
  at::Tensor scale, shift;
};

}  // namespace distill
