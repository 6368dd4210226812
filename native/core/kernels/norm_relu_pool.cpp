#include "core/kernels/norm_relu_pool.h"

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>
#include <vector>

#include "core/kernels/activation.h"
#include "core/kernels/rows.h"
#include "core/kernels/statistics.h"

namespace distill {
namespace {

// The sizes of an activation in channels-last memory and of what pooling makes of it.
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

// Sums two values a channel over `count` rows. Each row is summed in float, the rows in double: as
// accurate as summing all in double, at float's speed. The same for the same number of threads.
struct Sums {
  std::vector<double> first, second;  // (C)
};
template <typename AddRow>  // (row, float* first, float* second)
Sums sum_rows(int64_t count, int64_t channels, const AddRow& add_row) {
  std::vector<Sums> of_thread(at::get_num_threads());
  at::parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
    Sums sums{std::vector<double>(channels), std::vector<double>(channels)};
    std::vector<float> first(channels), second(channels);
    for (int64_t row = begin; row < end; ++row) {
      std::fill(first.begin(), first.end(), 0);
      std::fill(second.begin(), second.end(), 0);
      add_row(row, first.data(), second.data());
      for (int64_t c = 0; c < channels; ++c) {
        sums.first[c] += first[c];
        sums.second[c] += second[c];
      }
    }
    of_thread[at::get_thread_num()] = std::move(sums);
  });
  Sums total{std::vector<double>(channels), std::vector<double>(channels)};
  for (const Sums& sums : of_thread) {
    for (size_t c = 0; c < sums.first.size(); ++c) {
      total.first[c] += sums.first[c];
      total.second[c] += sums.second[c];
    }
  }
  return total;
}

template <typename T>
Statistics measure_batch(const at::Tensor& x, const at::Tensor& input_bias,
                         const Geometry& geometry, const BatchNorm2d& norm) {
  const T* data = values_of<T>(x);
  // Measured from some value of the channel, so that a large mean does not swallow a small
  // variance.
  std::vector<float> origin(geometry.channels);
  for (int64_t c = 0; c < geometry.channels; ++c) {
    const float first = load(data[c]);
    origin[c] = std::isfinite(first) ? first : 0;
  }
  const Sums sums =
      sum_rows(geometry.rows(), geometry.channels, [&](int64_t row, float* sum, float* square) {
        rows::moments(geometry.row(data, row), geometry.channels, origin.data(), sum, square,
                      geometry.width, geometry.channels);
      });
  const auto count = static_cast<double>(geometry.pixels());
  std::vector<double> mean(geometry.channels), var(geometry.channels);
  for (int64_t c = 0; c < geometry.channels; ++c) {
    const double offset = sums.first[c] / count;
    mean[c] = origin[c] + offset;
    var[c] = sums.second[c] / count - offset * offset;
  }
  return batch_statistics(mean, var, geometry.pixels(), input_bias, norm);
}

template <typename T>
at::Tensor forward(const at::Tensor& x, const Geometry& geometry, const AffineValues& affine) {
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

struct Gradients {
  at::Tensor x, weight, bias;
};

// The last odd row and column, which no pool looks at.
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

// With g what reaches the BatchNorm through pool and ReLU, and averages over the batch's pixels:
//   dbias = Σ g,  dweight = Σ g x̂,  dx = scale · (g − mean(g) − x̂ · mean(g x̂))
template <typename T>
Gradients backward(const at::Tensor& x, const at::Tensor& dy, const Geometry& geometry,
                   const Statistics& statistics, const AffineValues& affine) {
  const T* data = values_of<T>(x);
  const int64_t channels = geometry.channels, width = geometry.width;
  const int64_t height = geometry.pooled_height(), count = geometry.pooled_width();
  const bool is_max = geometry.pool == Pool::max2;
  const T* of_max = is_max ? values_of<T>(dy) : nullptr;
  const float* of_average = is_max ? nullptr : values_of<float>(dy);
  rows::Backward values{affine, statistics.mean.const_data_ptr<float>(),
                        statistics.inverse_std.const_data_ptr<float>(), nullptr, nullptr};

  const Sums sums = sum_rows(
      is_max ? geometry.batch * height : geometry.rows(), channels,
      [&](int64_t i, float* sum, float* product) {
        if (is_max) {
          const int64_t upper = i / height * geometry.height + i % height * 2;
          rows::max2_sums(geometry.row(data, upper), geometry.row(data, upper + 1),
                          of_max + i * count * channels, values, sum, product, count, channels);
        } else {
          rows::average_sums(geometry.row(data, i), of_average + i / geometry.height * channels,
                             values, sum, product, width, channels);
        }
      });

  Gradients gradients{at::empty_like(x), at::empty({channels}), at::empty({channels})};
  std::vector<float> slope(channels), offset(channels);
  const auto pixels = static_cast<double>(geometry.pixels());
  for (int64_t c = 0; c < channels; ++c) {
    const double scale = values.affine.scale[c];
    gradients.bias.data_ptr<float>()[c] = static_cast<float>(sums.first[c]);
    gradients.weight.data_ptr<float>()[c] = static_cast<float>(sums.second[c]);
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
                               of_average + row / geometry.height * channels, values,
                               geometry.row(dx, row), width, channels);
      }
    });
    return gradients;
  }
  at::parallel_for(0, geometry.batch * height, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t upper = i / height * geometry.height + i % height * 2, lower = upper + 1;
      rows::max2_backward(geometry.row(data, upper), geometry.row(data, lower),
                          of_max + i * count * channels, values, geometry.row(dx, upper),
                          geometry.row(dx, lower), count, channels);
    }
  });
  unpooled_backward(data, geometry, values, dx);
  return gradients;
}

class NormReluPool : public torch::autograd::Function<NormReluPool> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x,
                            const at::Tensor& input_bias, const at::Tensor& weight,
                            const at::Tensor& bias, const BatchNorm2d& norm, Pool pool) {
    const Geometry geometry(x, pool);
    return for_type_of(x, [&]<typename T>(T) {
      const auto statistics = measure_batch<T>(x, input_bias, geometry, norm);
      context->save_for_backward({x, weight, bias, statistics.mean, statistics.inverse_std});
      context->saved_data["pool"] = static_cast<int64_t>(pool);
      return distill::forward<T>(x, geometry, AffineValues(statistics, weight, bias));
    });
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor& x = saved[0];
    const Statistics statistics{saved[3], saved[4]};
    const Geometry geometry(x, static_cast<Pool>(context->saved_data["pool"].toInt()));
    at::Tensor dy = gradients[0].contiguous(at::MemoryFormat::ChannelsLast);
    // Each pixel has its share of an average.
    if (geometry.pool == Pool::average) dy = dy / (geometry.height * geometry.width);
    const Gradients result = for_type_of(x, [&]<typename T>(T) {
      return distill::backward<T>(x, dy, geometry, statistics,
                                  AffineValues(statistics, saved[1], saved[2]));
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
  const AffineValues affine(running_statistics(input_bias, norm), norm.weight, norm.bias);
  return for_type_of(
      input, [&]<typename T>(T) { return forward<T>(input, Geometry(input, pool), affine); });
}

}  // namespace distill
