#include "core/kernels/norm_relu_train.h"

#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>

#include "core/kernels/activation.h"
#include "core/kernels/channel_sums.h"
#include "core/kernels/norm_relu.h"
#include "core/kernels/norm_relu_rows.h"

namespace distill {
namespace {

template <typename AddRow>  // (row, float* first, float* second)
ChannelSums sum_rows(const at::Tensor& x, const AddRow& add_row) {
  constexpr int64_t pixels_in_float = 64;
  return sum_pieces(x.size(0) * x.size(2), std::max<int64_t>(pixels_in_float / x.size(3), 1),
                    x.size(1), add_row);
}

// The first value of a row of pixels, rows counted over the whole batch.
template <typename T>
T* row_of(T* first, const at::Tensor& x, int64_t row) {
  return first + row / x.size(2) * x.stride(0) + row % x.size(2) * x.stride(2);
}

// dx's terms that are the same for all pixels: slope · (x − mean) + offset.
void add_terms(const BatchAffine& affine, const ChannelSums& sums, double* slope, double* offset) {
  const float* scale = affine.scale.const_data_ptr<float>();
  const float* inverse_std = affine.moments.inverse_std.const_data_ptr<float>();
  for (size_t c = 0; c < sums.first.size(); ++c) {
    const double share = -scale[c] / affine.moments.count;
    slope[c] += share * inverse_std[c] * sums.second[c];
    offset[c] += share * sums.first[c];
  }
}

at::Tensor to_tensor(const std::vector<double>& values) {
  at::Tensor tensor = at::empty({static_cast<int64_t>(values.size())});
  std::copy(values.begin(), values.end(), tensor.mutable_data_ptr<float>());
  return tensor;
}

at::Tensor empty_like_without_gaps(const at::Tensor& x) {
  return at::empty(x.sizes(), x.options().memory_format(at::MemoryFormat::ChannelsLast));
}

}  // namespace

BatchMoments BatchMoments::narrow(int64_t first, int64_t channels) const {
  return {mean.narrow(0, first, channels), var.narrow(0, first, channels),
          inverse_std.narrow(0, first, channels), count};
}

void BatchMoments::put(int64_t first, const BatchMoments& others) {
  const int64_t channels = others.mean.size(0);
  mean.narrow(0, first, channels).copy_(others.mean);
  var.narrow(0, first, channels).copy_(others.var);
  inverse_std.narrow(0, first, channels).copy_(others.inverse_std);
  count = others.count;
}

BatchMoments batch_moments(const at::Tensor& x) {
  const int64_t channels = x.size(1);
  BatchMoments moments{at::empty({channels}), at::empty({channels}), at::empty({channels}),
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
    const ChannelSums sums = sum_rows(x, [&](int64_t row, float* sum, float* square) {
      rows::moments(row_of(data, x, row), x.stride(3), origin.data(), sum, square, x.size(3),
                    channels);
    });
    for (int64_t c = 0; c < channels; ++c) {
      const double offset = sums.first[c] / moments.count;
      const double spread = sums.second[c] / moments.count - offset * offset;
      const double var = spread < 0 ? 0 : spread;
      moments.mean.data_ptr<float>()[c] = static_cast<float>(origin[c] + offset);
      moments.var.data_ptr<float>()[c] = static_cast<float>(var);
      moments.inverse_std.data_ptr<float>()[c] =
          static_cast<float>(1 / std::sqrt(var + BatchNorm2d::eps));
    }
  });
  return moments;
}

rows::Backward BatchAffine::for_backward() const {
  return {{scale.const_data_ptr<float>(), shift.const_data_ptr<float>()},
          moments.mean.const_data_ptr<float>(),
          moments.inverse_std.const_data_ptr<float>(),
          nullptr,
          nullptr};
}

BatchAffine batch_affine(const BatchMoments& moments, const BatchNorm2d& norm) {
  const BatchMoments own = moments.narrow(0, norm.weight.size(0));
  const at::Tensor scale = own.inverse_std * norm.weight;
  return {own, scale, norm.bias - own.mean * scale};
}

void move_running_statistics(const BatchNorm2d& norm, const BatchMoments& moments) {
  constexpr double momentum = BatchNorm2d::momentum;
  // PyTorch's running variance is the unbiased one.
  const double unbiased = moments.count / std::max(moments.count - 1, 1.0);
  at::Tensor(norm.running_mean).mul_(1 - momentum).add_(moments.mean, momentum);
  at::Tensor(norm.running_var).mul_(1 - momentum).add_(moments.var, momentum * unbiased);
  at::Tensor(norm.num_batches_tracked).add_(1);
}

FeatureGradient::FeatureGradient(const at::Tensor& features)
    : values_(at::zeros(
          features.sizes(),
          features.options().dtype(at::kFloat).memory_format(at::MemoryFormat::ChannelsLast))),
      slope_(features.size(1)),
      offset_(features.size(1)) {}

FeatureGradient::OfNorm FeatureGradient::add(const at::Tensor& features, const BatchAffine& affine,
                                             const at::Tensor& dy, Pool pool) {
  const int64_t channels = affine.scale.size(0);
  const at::Tensor x = features.narrow(1, 0, channels);
  const int64_t height = x.size(2), width = x.size(3);
  const rows::Backward values = affine.for_backward();
  float* dx = values_.mutable_data_ptr<float>();
  const auto add_all = [&]<typename T, typename G>(T, G) {
    const T* from = values_of<T>(x);
    const G* incoming = values_of<G>(dy);
    return sum_rows(x, [&](int64_t row, float* sum, float* product) {
      const int64_t picture = row / height, y = row % height;
      const G* of_row = incoming + row * width * channels;
      rows::Incoming share;
      int64_t count = width;
      if (pool == Pool::average2) {
        if (y >= height / 2 * 2) return;  // a last odd row has no part in the average
        of_row = incoming + (picture * (height / 2) + y / 2) * (width / 2) * channels;
        share = {/*repeat=*/2, 0.25F};
        count = width / 2 * 2;
      } else if (pool == Pool::average) {
        of_row = incoming + picture * channels;
        share = {/*repeat=*/width, 1 / static_cast<float>(height * width)};
      }
      rows::add_norm_relu_backward(row_of(from, x, row), x.stride(3), of_row, share, values,
                                   row_of(dx, x, row), sum, product, count, channels);
    });
  };
  const ChannelSums sums = for_type_of(x, [&]<typename T>(T type) {
    return pool == Pool::average ? add_all(type, float()) : add_all(type, type);
  });
  return add_terms_of(affine, sums);
}

FeatureGradient::OfNorm FeatureGradient::add_terms_of(const BatchAffine& affine,
                                                      const ChannelSums& sums) {
  add_terms(affine, sums, slope_.data(), offset_.data());
  return {to_tensor(sums.second), to_tensor(sums.first)};
}

at::Tensor FeatureGradient::take(const at::Tensor& features, const BatchMoments& moments,
                                 int64_t first, int64_t channels) const {
  const at::Tensor x = features.narrow(1, first, channels);
  const std::vector<float> slope(&slope_[first], &slope_[first] + channels);
  const std::vector<float> offset(&offset_[first], &offset_[first] + channels);
  const rows::Backward values{
      {}, moments.mean.const_data_ptr<float>() + first, nullptr, slope.data(), offset.data()};
  const float* g = values_.const_data_ptr<float>() + first;
  const at::Tensor dx = empty_like_without_gaps(x);
  for_type_of(x, [&]<typename T>(T) {
    const T* from = values_of<T>(x);
    T* to = mutable_values_of<T>(dx);
    at::parallel_for(0, x.size(0) * x.size(2), 1, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        rows::norm_backward(row_of(from, x, row), row_of(g, x, row), x.stride(3), values,
                            row_of(to, dx, row), x.size(3), channels);
      }
    });
  });
  return dx;
}

NormReluGradients norm_relu_backward(const at::Tensor& x, const BatchAffine& affine,
                                     const at::Tensor& dy) {
  const int64_t channels = x.size(1);
  rows::Backward values = affine.for_backward();
  const at::Tensor dx = empty_like_without_gaps(x);
  const ChannelSums sums = for_type_of(x, [&]<typename T>(T) {
    const T *from = values_of<T>(x), *incoming = values_of<T>(dy);
    T* to = mutable_values_of<T>(dx);
    ChannelSums sums = sum_rows(x, [&](int64_t row, float* sum, float* product) {
      rows::norm_relu_sums(row_of(from, x, row), row_of(incoming, x, row), values, sum, product,
                           x.size(3), channels);
    });
    std::vector<double> slope(channels), offset(channels);
    add_terms(affine, sums, slope.data(), offset.data());
    const std::vector<float> slopes(slope.begin(), slope.end());
    const std::vector<float> offsets(offset.begin(), offset.end());
    values.slope = slopes.data();
    values.offset = offsets.data();
    at::parallel_for(0, x.size(0) * x.size(2), 1, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        rows::norm_relu_backward(row_of(from, x, row), row_of(incoming, x, row), values,
                                 row_of(to, x, row), x.size(3), channels);
      }
    });
    return sums;
  });
  return {dx, to_tensor(sums.second), to_tensor(sums.first)};
}

namespace {

class NormRelu : public torch::autograd::Function<NormRelu> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x,
                            const at::Tensor& weight, const at::Tensor& bias,
                            const BatchNorm2d& norm) {
    const BatchMoments moments = batch_moments(x);
    move_running_statistics(norm, moments);
    const auto [own, scale, shift] = batch_affine(moments, norm);
    context->save_for_backward({x, own.mean, own.var, own.inverse_std, scale, shift});
    context->saved_data["count"] = own.count;
    return norm_relu(x, scale, shift);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const BatchAffine affine{
        {saved[1], saved[2], saved[3], context->saved_data["count"].toDouble()},
        saved[4],
        saved[5]};
    const NormReluGradients found = norm_relu_backward(
        saved[0], affine, gradients[0].contiguous(at::MemoryFormat::ChannelsLast));
    return {found.x, found.weight, found.bias, at::Tensor()};
  }
};

}  // namespace

at::Tensor norm_relu_train(const at::Tensor& x, const BatchNorm2d& norm) {
  if (!x.is_cpu()) return norm(x, /*training=*/true).relu_();
  return NormRelu::apply(x, norm.weight, norm.bias, norm);
}

}  // namespace distill
