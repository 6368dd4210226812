#pragma once

#include <ATen/ATen.h>

#include <vector>

#include "core/kernels/channel_sums.h"
#include "core/kernels/rows.h"
#include "core/nn/layers.h"

// BatchNorm and ReLU of training for DenseNets, where the same features are normalised again by
// every layer behind them. Activations are (B, C, H, W) float32 or bfloat16 on the CPU; the
// channels of a pixel lie side by side and may be some of more.
namespace distill {

// Of each channel over a batch. (C) float32 each, summed in double precision.
struct BatchMoments {
  at::Tensor mean, var, inverse_std;  // var: that of the batch itself
  double count = 0;                   // values a channel

  BatchMoments narrow(int64_t first, int64_t channels) const;
  // Writes others' in the place of the channels from `first` on.
  void put(int64_t first, const BatchMoments& others);
};
BatchMoments batch_moments(const at::Tensor& x);

// A BatchNorm by a batch's moments: x * scale + shift.
struct BatchAffine {
  BatchMoments moments;
  at::Tensor scale, shift;  // (C) float32

  // Without slope and offset, which follow from the sums.
  rows::Backward for_backward() const;
};
// For a norm of the first channels of those whose moments there are.
BatchAffine batch_affine(const BatchMoments& moments, const BatchNorm2d& norm);

// The running statistics and their count move towards a batch's, as PyTorch's do.
void move_running_statistics(const BatchNorm2d& norm, const BatchMoments& moments);

// The gradient of features that several BatchNorms read. With g what reaches one of them through
// its ReLU, it adds to the gradient of x
//
//   scale · (g − mean(g) − x̂ · mean(g x̂))
//
// of which only scale · g differs from pixel to pixel in more than x: the rest is slope · (x −
// mean)
// + offset with one slope and one offset a channel, which are gathered and added once, when all of
// a channel's readers have answered. So each of them is one pass over the features instead of two.
class FeatureGradient {
 public:
  explicit FeatureGradient(const at::Tensor& features);

  // What reached the ReLU: of every pixel, of each 2x2's average, or of the whole picture's.
  enum class Pool { none, average2, average };
  struct OfNorm {
    at::Tensor weight, bias;  // (C)
  };
  // Adds what comes by way of a norm that reads the first channels. dy: (B, C, h, w), without gaps,
  // in the features' type or, for the whole picture's average, float32.
  OfNorm add(const at::Tensor& features, const BatchAffine& affine, const at::Tensor& dy,
             Pool pool);
  // The same for a norm of float32 features with a 1x1 convolution behind its ReLU (see
  // norm_relu_product.h), and the gradient of the convolution's weight. dy: (B, out, H, W).
  struct OfProduct {
    OfNorm norm;
    at::Tensor weight;  // (out, C)
  };
  OfProduct add_product(const at::Tensor& features, const BatchAffine& affine,
                        const at::Tensor& weight, const at::Tensor& dy);
  // That of some channels, once complete: (B, channels, H, W) in the features' type, without gaps.
  at::Tensor take(const at::Tensor& features, const BatchMoments& moments, int64_t first,
                  int64_t channels) const;

 private:
  OfNorm add_terms_of(const BatchAffine& affine, const ChannelSums& sums);

  at::Tensor values_;                   // (B, C, H, W) float32
  std::vector<double> slope_, offset_;  // (C)
};

// The same for one norm alone, in two passes: the gradient of x, and those of the norm. x and dy
// without gaps.
struct NormReluGradients {
  at::Tensor x, weight, bias;
};
NormReluGradients norm_relu_backward(const at::Tensor& x, const BatchAffine& affine,
                                     const at::Tensor& dy);

// relu(norm(x)) in training mode, differentiable. x without gaps; on other devices by operators.
at::Tensor norm_relu_train(const at::Tensor& x, const BatchNorm2d& norm);

}  // namespace distill
