#include "core/kernels/batch_norm.h"

#include <algorithm>
#include <cmath>

#include "core/kernels/activation.h"

namespace distill {
namespace {

constexpr double momentum = BatchNorm2d::momentum;

Affine affine_of(const at::Tensor& mean, const at::Tensor& inverse_std, const BatchNorm2d& norm) {
  const at::Tensor scale = inverse_std * norm.weight;
  return {scale, norm.bias - mean * scale};
}

}  // namespace

ChannelMoments channel_moments(const at::Tensor& x, int64_t rows_in_float) {
  const int64_t channels = x.size(1);
  ChannelMoments moments{std::vector<double>(channels), std::vector<double>(channels),
                         static_cast<double>(x.size(0) * x.size(2) * x.size(3))};
  for_type_of(x, [&]<typename T>(T) {
    const T* data = values_of<T>(x);
    // Measured from some value of the channel, so that a large mean does not swallow a small
    // variance.
    std::vector<float> origin(channels);
    for (int64_t c = 0; c < channels; ++c) {
      const float first = load(data[c]);
      origin[c] = std::isfinite(first) ? first : 0;
    }
    const ChannelSums sums =
        sum_channels(x.size(0) * x.size(2), rows_in_float, channels,
                     [&](int64_t row, float* sum, float* square) {
                       rows::moments(row_of(data, x, row), x.stride(3), origin.data(), sum, square,
                                     x.size(3), channels);
                     });
    for (int64_t c = 0; c < channels; ++c) {
      const double offset = sums.first[c] / moments.count;
      moments.mean[c] = origin[c] + offset;
      moments.var[c] = clamp_variance(sums.second[c] / moments.count - offset * offset);
    }
  });
  return moments;
}

int64_t rows_of_64_pixels(const at::Tensor& x) {
  return std::max<int64_t>(64 / x.size(3), 1);
}

BatchMoments BatchMoments::narrow(int64_t first, int64_t channels) const {
  return {mean.narrow(0, first, channels), var.narrow(0, first, channels),
          inverse_std.narrow(0, first, channels), count};
}

void BatchMoments::set_channels(int64_t first, const BatchMoments& others) {
  const int64_t channels = others.mean.size(0);
  mean.narrow(0, first, channels).copy_(others.mean);
  var.narrow(0, first, channels).copy_(others.var);
  inverse_std.narrow(0, first, channels).copy_(others.inverse_std);
  count = others.count;
}

BatchMoments to_tensors(const ChannelMoments& moments) {
  std::vector<double> inverse_std;
  for (const double var : moments.var) {
    inverse_std.push_back(1 / std::sqrt(var + BatchNorm2d::eps));
  }
  return {to_tensor(moments.mean), to_tensor(moments.var), to_tensor(inverse_std), moments.count};
}

Affine running_affine(const BatchNorm2d& norm, const at::Tensor& input_bias) {
  const at::Tensor inverse_std =
      (norm.running_var.to(at::kDouble) + BatchNorm2d::eps).rsqrt().to(at::kFloat);
  return affine_of(norm.running_mean - input_bias, inverse_std, norm);
}

rows::Backward BatchAffine::for_backward() const {
  return {affine.values(), moments.mean.const_data_ptr<float>(),
          moments.inverse_std.const_data_ptr<float>(), /*slope=*/nullptr, /*offset=*/nullptr};
}

BatchAffine batch_affine(const BatchMoments& moments, const BatchNorm2d& norm) {
  const BatchMoments own = moments.narrow(0, norm.weight.size(0));
  return {own, affine_of(own.mean, own.inverse_std, norm)};
}

void move_running_statistics(const BatchNorm2d& norm, const ChannelMoments& moments,
                             const at::Tensor& input_bias) {
  // PyTorch's running variance is the unbiased one.
  const double unbiased = moments.count / (moments.count - 1);
  const float* bias = input_bias.const_data_ptr<float>();
  float* running_mean = norm.running_mean.data_ptr<float>();
  float* running_var = norm.running_var.data_ptr<float>();
  for (size_t c = 0; c < moments.mean.size(); ++c) {
    running_mean[c] = static_cast<float>((1 - momentum) * running_mean[c] +
                                         momentum * (moments.mean[c] + bias[c]));
    running_var[c] =
        static_cast<float>((1 - momentum) * running_var[c] + momentum * moments.var[c] * unbiased);
  }
  at::Tensor(norm.num_batches_tracked).add_(1);
}

void move_running_statistics(const BatchNorm2d& norm, const BatchMoments& moments) {
  const double unbiased = moments.count / std::max(moments.count - 1, 1.0);
  at::Tensor(norm.running_mean).mul_(1 - momentum).add_(moments.mean, momentum);
  at::Tensor(norm.running_var).mul_(1 - momentum).add_(moments.var, momentum * unbiased);
  at::Tensor(norm.num_batches_tracked).add_(1);
}

void add_shared_terms(const BatchAffine& affine, const ChannelSums& sums, double* slope,
                      double* offset) {
  const float* scale = affine.affine.scale.const_data_ptr<float>();
  const float* inverse_std = affine.moments.inverse_std.const_data_ptr<float>();
  for (size_t c = 0; c < sums.first.size(); ++c) {
    const double share = -scale[c] / affine.moments.count;
    slope[c] += share * inverse_std[c] * sums.second[c];
    offset[c] += share * sums.first[c];
  }
}

}  // namespace distill
