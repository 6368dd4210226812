#include "core/kernels/norm_relu_train.h"

#include <ATen/Parallel.h>

#include <vector>

#include "core/kernels/activation.h"
#include "core/kernels/norm_relu.h"
#include "core/kernels/norm_relu_rows.h"
#include "core/kernels/saved_norm.h"

namespace distill {

NormGradients norm_relu_backward(const at::Tensor& x, const BatchAffine& norm,
                                 const at::Tensor& dy) {
  const int64_t channels = x.size(1), row_count = x.size(0) * x.size(2);
  rows::Backward values = norm.for_backward();
  const at::Tensor dx = empty_channels_last(x, x.size(2), x.size(3));
  const ChannelSums sums = for_type_of(x, [&]<typename T>(T) {
    const T *from = values_of<T>(x), *incoming = values_of<T>(dy);
    T* to = mutable_values_of<T>(dx);
    const auto add_row = [&](int64_t row, float* sum, float* product) {
      rows::norm_relu_sums(row_of(from, x, row), row_of(incoming, x, row), values, sum, product,
                           x.size(3), channels);
    };
    ChannelSums sums = sum_channels(row_count, rows_of_64_pixels(x), channels, add_row);
    std::vector<double> slope(channels), offset(channels);
    add_shared_terms(norm, sums, slope.data(), offset.data());
    const std::vector<float> slopes(slope.begin(), slope.end());
    const std::vector<float> offsets(offset.begin(), offset.end());
    values.slope = slopes.data();
    values.offset = offsets.data();
    at::parallel_for(0, row_count, 1, [&](int64_t begin, int64_t end) {
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
                            const at::Tensor& /*weight*/, const at::Tensor& /*bias*/,
                            const BatchNorm2d& norm) {
    const BatchMoments moments = to_tensors(channel_moments(x, rows_of_64_pixels(x)));
    move_running_statistics(norm, moments);
    const BatchAffine by_batch = batch_affine(moments, norm);
    save_norm(*context, x, by_batch);
    return norm_relu(x, by_batch.affine);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const SavedNorm saved = saved_norm(*context);
    const NormGradients result = norm_relu_backward(
        saved.x, saved.affine, gradients[0].contiguous(at::MemoryFormat::ChannelsLast));
    return {result.x, result.weight, result.bias, at::Tensor()};
  }
};

}  // namespace

at::Tensor norm_relu_train(const at::Tensor& x, const BatchNorm2d& norm) {
  if (!x.is_cpu()) return norm(x, /*training=*/true).relu_();
  return NormRelu::apply(x, norm.weight, norm.bias, norm);
}

}  // namespace distill
