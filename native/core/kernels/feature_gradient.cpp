#include "core/kernels/feature_gradient.h"

#include <ATen/Parallel.h>

#include "core/kernels/activation.h"
#include "core/kernels/norm_relu_rows.h"

namespace distill {

FeatureGradient::FeatureGradient(const at::Tensor& features)
    : values_(at::zeros(
          features.sizes(),
          features.options().dtype(at::kFloat).memory_format(at::MemoryFormat::ChannelsLast))),
      slope_(features.size(1)),
      offset_(features.size(1)) {}

FeatureGradient::OfNorm FeatureGradient::add(const at::Tensor& features, const BatchAffine& norm,
                                             const at::Tensor& dy, Pool pool) {
  const int64_t channels = norm.affine.scale.size(0);
  const at::Tensor x = features.narrow(1, 0, channels);
  const int64_t height = x.size(2), width = x.size(3);
  const rows::Backward values = norm.for_backward();
  float* dx = values_.mutable_data_ptr<float>();
  const auto add_all = [&]<typename T, typename G>(T, G) {
    const T* from = values_of<T>(x);
    const G* incoming = values_of<G>(dy);
    const auto add_row = [&](int64_t row, float* sum, float* product) {
      const int64_t picture = row / height, y = row % height;
      const G* dy_of_row = incoming + row * width * channels;
      rows::Incoming share;
      int64_t count = width;
      if (pool == Pool::average2) {
        if (y >= height / 2 * 2) return;  // the average leaves out a last odd row
        dy_of_row = incoming + (picture * (height / 2) + y / 2) * (width / 2) * channels;
        share = {/*repeat=*/2, 0.25F};
        count = width / 2 * 2;
      } else if (pool == Pool::average) {
        dy_of_row = incoming + picture * channels;
        share = {/*repeat=*/width, 1 / static_cast<float>(height * width)};
      }
      rows::add_norm_relu_backward(row_of(from, x, row), x.stride(3), dy_of_row, share, values,
                                   row_of(dx, x, row), sum, product, count, channels);
    };
    return sum_channels(x.size(0) * height, rows_of_64_pixels(x), channels, add_row);
  };
  const ChannelSums sums = for_type_of(x, [&]<typename T>(T type) {
    return pool == Pool::average ? add_all(type, float()) : add_all(type, type);
  });
  return add_shared_terms_of(norm, sums);
}

FeatureGradient::OfNorm FeatureGradient::add_shared_terms_of(const BatchAffine& norm,
                                                             const ChannelSums& sums) {
  add_shared_terms(norm, sums, slope_.data(), offset_.data());
  return {to_tensor(sums.second), to_tensor(sums.first)};
}

at::Tensor FeatureGradient::finish(const at::Tensor& features, const BatchMoments& moments,
                                   int64_t first, int64_t channels) const {
  const at::Tensor x = features.narrow(1, first, channels);
  const std::vector<float> slope(&slope_[first], &slope_[first] + channels);
  const std::vector<float> offset(&offset_[first], &offset_[first] + channels);
  const rows::Backward values{
      {}, moments.mean.const_data_ptr<float>() + first, nullptr, slope.data(), offset.data()};
  const float* g = values_.const_data_ptr<float>() + first;
  const at::Tensor dx = empty_channels_last(x, x.size(2), x.size(3));
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

}  // namespace distill
