#pragma once

#include <ATen/ATen.h>

#include <vector>

#include "core/kernels/batch_norm.h"
#include "core/kernels/pool.h"

namespace distill {

// The gradient of features that several BatchNorms read, each followed by a ReLU. With g the
// gradient of one norm's result, that norm adds to the gradient of x
//
//   scale · (g − mean(g) − x̂ · mean(g x̂))
//
// Only scale · g differs from pixel to pixel in more than x: the rest is
// slope · (x − mean) + offset with one slope and one offset a channel. These are summed over the
// norms, and added once when all norms that read a channel have been. So each norm is one pass over
// the features instead of two.
class FeatureGradient {
 public:
  explicit FeatureGradient(const at::Tensor& features);

  struct OfNorm {
    at::Tensor weight, bias;  // (C)
  };
  // Adds the gradient by way of a norm that reads the first channels. dy: the gradient of the
  // ReLU's result after `pool` (none, average2 or average), (B, C, h, w) without gaps, in the
  // features' type; for `average` (B, C) float32.
  OfNorm add(const at::Tensor& features, const BatchAffine& norm, const at::Tensor& dy, Pool pool);
  // The same for a norm of float32 features with a 1x1 convolution behind its ReLU (see
  // norm_relu_product.h), and the gradient of the convolution's weight. dy: (B, out, H, W).
  struct OfProduct {
    OfNorm norm;
    at::Tensor weight;  // (out, C)
  };
  OfProduct add_product(const at::Tensor& features, const BatchAffine& norm,
                        const at::Tensor& weight, const at::Tensor& dy);
  // The gradient of some channels, whose norms have all been added: (B, channels, H, W) in the
  // features' type, without gaps.
  at::Tensor finish(const at::Tensor& features, const BatchMoments& moments, int64_t first,
                    int64_t channels) const;

 private:
  OfNorm add_shared_terms_of(const BatchAffine& norm, const ChannelSums& sums);

  at::Tensor values_;                   // (B, C, H, W) float32
  std::vector<double> slope_, offset_;  // (C)
};

}  // namespace distill
