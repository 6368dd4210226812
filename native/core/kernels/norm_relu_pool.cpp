#include "core/kernels/norm_relu_pool.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <vector>

#include "core/kernels/activation.h"
#include "core/kernels/batch_norm.h"
#include "core/kernels/rows.h"
#include "core/kernels/saved_norm.h"

namespace distill {
namespace {

// The sizes of an activation in channels-last memory, before and after pooling.
struct Geometry {
  Geometry(const at::Tensor& x, Pool pool)
      : batch(x.size(0)), channels(x.size(1)), height(x.size(2)), width(x.size(3)), pool(pool) {}
  int64_t rows() const { return batch * height; }
  int64_t pixels() const { return rows() * width; }
  int64_t pooled_height() const { return height / 2; }
  int64_t pooled_width() const { return width / 2; }
  std::vector<int64_t> pooled_sizes() const {
    if (pool == Pool::average) return {batch, channels, 1, 1};
    return {batch, channels, pooled_height(), pooled_width()};
  }
  // The first value of a row of pixels, rows counted over the whole batch.
  template <typename T>
  T* row(T* first, int64_t index) const {
    return first + index * width * channels;
  }

  int64_t batch, channels, height, width;
  Pool pool;
};

template <typename T>
at::Tensor forward(const at::Tensor& x, const Geometry& geometry, const rows::Affine& affine) {
  const auto options = x.options().memory_format(at::MemoryFormat::ChannelsLast);
  const T* data = values_of<T>(x);
  const int64_t channels = geometry.channels, width = geometry.width;
  if (geometry.pool == Pool::max2) {
    at::Tensor y = at::empty(geometry.pooled_sizes(), options);
    T* result = mutable_values_of<T>(y);
    const int64_t height = geometry.pooled_height(), count = geometry.pooled_width();
    at::parallel_for(0, geometry.batch * height, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t upper = i / height * geometry.height + i % height * 2;
        rows::max2_forward(geometry.row(data, upper), geometry.row(data, upper + 1), affine,
                           result + i * count * channels, count, channels);
      }
    });
    return y;
  }
  at::Tensor y = at::empty(geometry.pooled_sizes(), options.dtype(at::kFloat));
  float* result = y.data_ptr<float>();
  at::parallel_for(0, geometry.batch, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> row_sum(channels);
    std::vector<double> sum(channels);
    for (int64_t i = begin; i < end; ++i) {
      std::fill(sum.begin(), sum.end(), 0);
      for (int64_t row = i * geometry.height; row < (i + 1) * geometry.height; ++row) {
        std::fill(row_sum.begin(), row_sum.end(), 0);
        rows::average_forward(geometry.row(data, row), affine, row_sum.data(), width, channels);
        for (int64_t c = 0; c < channels; ++c) sum[c] += row_sum[c];
      }
      const auto pixels = static_cast<double>(geometry.height * width);
      for (int64_t c = 0; c < channels; ++c) {
        result[i * channels + c] = static_cast<float>(sum[c] / pixels);
      }
    }
  });
  return y;
}

// Writes the gradient of the last odd row and column, which no pool reads.
template <typename T>
void unpooled_backward(const T* x, const Geometry& geometry, const rows::Backward& values, T* dx) {
  const int64_t channels = geometry.channels, width = geometry.width;
  for (int64_t row = 0; row < geometry.rows(); ++row) {
    const bool last_row = geometry.height % 2 == 1 && row % geometry.height == geometry.height - 1;
    if (!last_row && width % 2 == 0) continue;
    const int64_t first = last_row ? 0 : (width - 1) * channels;
    rows::unpooled_backward(geometry.row(x, row) + first, values, geometry.row(dx, row) + first,
                            last_row ? width : 1, channels);
  }
}

// g is the gradient of the BatchNorm's result, dy passed through pool and ReLU; means are over the
// batch's pixels:
//   dbias = Σ g,  dweight = Σ g x̂,  dx = scale · (g − mean(g) − x̂ · mean(g x̂))
template <typename T>
NormGradients backward(const at::Tensor& x, const at::Tensor& dy, const Geometry& geometry,
                       const BatchAffine& affine) {
  const T* data = values_of<T>(x);
  const int64_t channels = geometry.channels, width = geometry.width;
  const int64_t height = geometry.pooled_height(), count = geometry.pooled_width();
  const bool is_max = geometry.pool == Pool::max2;
  const T* dy_of_max = is_max ? values_of<T>(dy) : nullptr;
  const float* dy_of_average = is_max ? nullptr : values_of<float>(dy);
  rows::Backward values = affine.for_backward();

  const ChannelSums sums = sum_channels(
      is_max ? geometry.batch * height : geometry.rows(), /*pieces_in_float=*/1, channels,
      [&](int64_t i, float* sum, float* product) {
        if (is_max) {
          const int64_t upper = i / height * geometry.height + i % height * 2;
          rows::max2_sums(geometry.row(data, upper), geometry.row(data, upper + 1),
                          dy_of_max + i * count * channels, values, sum, product, count, channels);
        } else {
          rows::average_sums(geometry.row(data, i), dy_of_average + i / geometry.height * channels,
                             values, sum, product, width, channels);
        }
      });

  const NormGradients gradients{at::empty_like(x), to_tensor(sums.second), to_tensor(sums.first)};
  std::vector<float> slope(channels), offset(channels);
  const auto pixels = static_cast<double>(geometry.pixels());
  for (int64_t c = 0; c < channels; ++c) {
    const double scale = values.affine.scale[c];
    slope[c] = static_cast<float>(-scale * values.inverse_std[c] * sums.second[c] / pixels);
    offset[c] = static_cast<float>(-scale * sums.first[c] / pixels);
  }
  values.slope = slope.data();
  values.offset = offset.data();

  T* dx = mutable_values_of<T>(gradients.x);
  if (!is_max) {
    at::parallel_for(0, geometry.rows(), 1, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        rows::average_backward(geometry.row(data, row),
                               dy_of_average + row / geometry.height * channels, values,
                               geometry.row(dx, row), width, channels);
      }
    });
    return gradients;
  }
  at::parallel_for(0, geometry.batch * height, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t upper = i / height * geometry.height + i % height * 2, lower = upper + 1;
      rows::max2_backward(geometry.row(data, upper), geometry.row(data, lower),
                          dy_of_max + i * count * channels, values, geometry.row(dx, upper),
                          geometry.row(dx, lower), count, channels);
    }
  });
  unpooled_backward(data, geometry, values, dx);
  return gradients;
}

class NormReluPool : public torch::autograd::Function<NormReluPool> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x,
                            const at::Tensor& input_bias, const at::Tensor& /*weight*/,
                            const at::Tensor& /*bias*/, const BatchNorm2d& norm, Pool pool) {
    const ChannelMoments moments = channel_moments(x, /*rows_in_float=*/1);
    move_running_statistics(norm, moments, input_bias);
    const BatchAffine affine = batch_affine(to_tensors(moments), norm);
    save_norm(*context, x, affine);
    context->saved_data["pool"] = static_cast<int64_t>(pool);
    return for_type_of(x, [&]<typename T>(T) {
      return distill::forward<T>(x, Geometry(x, pool), affine.affine.values());
    });
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const SavedNorm saved = saved_norm(*context);
    const Geometry geometry(saved.x, static_cast<Pool>(context->saved_data["pool"].toInt()));
    at::Tensor dy = gradients[0].contiguous(at::MemoryFormat::ChannelsLast);
    // Each pixel has its share of an average.
    if (geometry.pool == Pool::average) dy = dy / (geometry.height * geometry.width);
    const NormGradients result = for_type_of(saved.x, [&]<typename T>(T) {
      return distill::backward<T>(saved.x, dy, geometry, saved.affine);
    });
    return {result.x,    at::zeros({geometry.channels}), result.weight, result.bias, at::Tensor(),
            at::Tensor()};
  }
};

}  // namespace

at::Tensor norm_relu_pool(const at::Tensor& x, const at::Tensor& input_bias,
                          const BatchNorm2d& norm, Pool pool, bool training) {
  const at::Tensor input = x.contiguous(at::MemoryFormat::ChannelsLast);
  if (training) {
    return NormReluPool::apply(input, input_bias, norm.weight, norm.bias, norm, pool);
  }
  const Affine affine = running_affine(norm, input_bias);
  return for_type_of(input, [&]<typename T>(T) {
    return forward<T>(input, Geometry(input, pool), affine.values());
  });
}

}  // namespace distill
