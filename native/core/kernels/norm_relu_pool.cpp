#include "core/kernels/norm_relu_pool.h"

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>
#include <vector>

#include "core/kernels/rows.h"

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

struct Statistics {
  at::Tensor mean, inverse_std;  // (C) float32
};

Statistics running_statistics(const BatchNorm2d& norm) {
  return {norm.running_mean,
          (norm.running_var.to(at::kDouble) + BatchNorm2d::eps).rsqrt().to(at::kFloat)};
}

// Those of the batch; the running ones move towards them.
Statistics batch_statistics(const at::Tensor& x, const Geometry& geometry,
                            const BatchNorm2d& norm) {
  const float* data = x.const_data_ptr<float>();
  // Measured from some value of the channel, so that a large mean does not swallow a small
  // variance.
  const std::vector<float> origin(data, data + geometry.channels);
  const Sums sums =
      sum_rows(geometry.rows(), geometry.channels, [&](int64_t row, float* sum, float* square) {
        rows::moments(geometry.row(data, row), origin.data(), sum, square, geometry.width,
                      geometry.channels);
      });
  Statistics statistics{at::empty({geometry.channels}), at::empty({geometry.channels})};
  const auto count = static_cast<double>(geometry.pixels());
  constexpr double momentum = BatchNorm2d::momentum;
  float* running_mean = norm.running_mean.data_ptr<float>();
  float* running_var = norm.running_var.data_ptr<float>();
  for (int64_t c = 0; c < geometry.channels; ++c) {
    const double offset = sums.first[c] / count;
    const double spread = sums.second[c] / count - offset * offset;
    const double mean = origin[c] + offset, var = spread < 0 ? 0 : spread;
    statistics.mean.data_ptr<float>()[c] = static_cast<float>(mean);
    statistics.inverse_std.data_ptr<float>()[c] =
        static_cast<float>(1 / std::sqrt(var + BatchNorm2d::eps));
    const double unbiased = var * count / (count - 1);
    running_mean[c] = static_cast<float>((1 - momentum) * running_mean[c] + momentum * mean);
    running_var[c] = static_cast<float>((1 - momentum) * running_var[c] + momentum * unbiased);
  }
  at::Tensor(norm.num_batches_tracked).add_(1);
  return statistics;
}

// x̂ * weight + bias as x * scale + shift.
struct AffineValues {
  AffineValues(const Statistics& statistics, const at::Tensor& weight, const at::Tensor& bias)
      : scale(statistics.inverse_std * weight), shift(bias - statistics.mean * scale) {}
  operator rows::Affine() const {
    return {scale.const_data_ptr<float>(), shift.const_data_ptr<float>()};
  }
  at::Tensor scale, shift;
};

at::Tensor forward(const at::Tensor& x, const Geometry& geometry, const AffineValues& affine) {
  at::Tensor y =
      at::empty(geometry.pooled_sizes(), x.options().memory_format(at::MemoryFormat::ChannelsLast));
  const float* data = x.const_data_ptr<float>();
  float* result = y.data_ptr<float>();
  const int64_t channels = geometry.channels, width = geometry.width;
  if (geometry.pool == Pool::max2) {
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

// With g what reaches the BatchNorm through pool and ReLU, and averages over the batch's pixels:
//   dbias = Σ g,  dweight = Σ g x̂,  dx = scale · (g − mean(g) − x̂ · mean(g x̂))
Gradients backward(const at::Tensor& x, const at::Tensor& dy, const Geometry& geometry,
                   const Statistics& statistics, const AffineValues& affine) {
  const float* data = x.const_data_ptr<float>();
  const float* gradient = dy.const_data_ptr<float>();
  const int64_t channels = geometry.channels, width = geometry.width;
  const int64_t height = geometry.pooled_height(), count = geometry.pooled_width();
  const bool is_max = geometry.pool == Pool::max2;
  rows::Backward values{affine, statistics.mean.const_data_ptr<float>(),
                        statistics.inverse_std.const_data_ptr<float>(), nullptr, nullptr};

  const Sums sums = sum_rows(
      is_max ? geometry.batch * height : geometry.rows(), channels,
      [&](int64_t i, float* sum, float* product) {
        if (is_max) {
          const int64_t upper = i / height * geometry.height + i % height * 2;
          rows::max2_sums(geometry.row(data, upper), geometry.row(data, upper + 1),
                          gradient + i * count * channels, values, sum, product, count, channels);
        } else {
          rows::average_sums(geometry.row(data, i), gradient + i / geometry.height * channels,
                             values, sum, product, width, channels);
        }
      });

  Gradients gradients{at::empty_like(x), at::empty({channels}), at::empty({channels})};
  const at::Tensor slope = at::empty({channels}), offset = at::empty({channels});
  const auto pixels = static_cast<double>(geometry.pixels());
  for (int64_t c = 0; c < channels; ++c) {
    const double scale = values.affine.scale[c];
    gradients.bias.data_ptr<float>()[c] = static_cast<float>(sums.first[c]);
    gradients.weight.data_ptr<float>()[c] = static_cast<float>(sums.second[c]);
    slope.data_ptr<float>()[c] =
        static_cast<float>(-scale * values.inverse_std[c] * sums.second[c] / pixels);
    offset.data_ptr<float>()[c] = static_cast<float>(-scale * sums.first[c] / pixels);
  }
  values.slope = slope.const_data_ptr<float>();
  values.offset = offset.const_data_ptr<float>();

  float* dx = gradients.x.data_ptr<float>();
  at::parallel_for(0, geometry.batch, 1, [&](int64_t begin, int64_t end) {
    for (int64_t image = begin; image < end; ++image) {
      const int64_t first = image * geometry.height;
      if (!is_max) {
        rows::average_backward(geometry.row(data, first), gradient + image * channels, values,
                               geometry.row(dx, first), geometry.height * width, channels);
        continue;
      }
      for (int64_t i = 0; i < height; ++i) {
        const int64_t upper = first + 2 * i, lower = upper + 1;
        rows::max2_backward(geometry.row(data, upper), geometry.row(data, lower),
                            gradient + (image * height + i) * count * channels, values,
                            geometry.row(dx, upper), geometry.row(dx, lower), count, channels);
        if (width % 2 == 0) continue;
        for (const int64_t row : {upper, lower}) {
          const int64_t last = (width - 1) * channels;
          rows::unpooled_backward(geometry.row(data, row) + last, values,
                                  geometry.row(dx, row) + last, 1, channels);
        }
      }
      if (geometry.height % 2 == 1) {
        const int64_t last = first + geometry.height - 1;
        rows::unpooled_backward(geometry.row(data, last), values, geometry.row(dx, last), width,
                                channels);
      }
    }
  });
  return gradients;
}

class NormReluPool : public torch::autograd::Function<NormReluPool> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x,
                            const at::Tensor& weight, const at::Tensor& bias,
                            const BatchNorm2d& norm, Pool pool) {
    const Geometry geometry(x, pool);
    const Statistics statistics = batch_statistics(x, geometry, norm);
    context->save_for_backward({x, weight, bias, statistics.mean, statistics.inverse_std});
    context->saved_data["pool"] = static_cast<int64_t>(pool);
    return distill::forward(x, geometry, AffineValues(statistics, weight, bias));
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const Statistics statistics{saved[3], saved[4]};
    const Geometry geometry(saved[0], static_cast<Pool>(context->saved_data["pool"].toInt()));
    at::Tensor dy = gradients[0].contiguous(at::MemoryFormat::ChannelsLast);
    // Each pixel has its share of an average.
    if (geometry.pool == Pool::average) dy = dy / (geometry.height * geometry.width);
    const Gradients result = distill::backward(saved[0], dy, geometry, statistics,
                                               AffineValues(statistics, saved[1], saved[2]));
    return {result.x, result.weight, result.bias, at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor norm_relu_pool(const at::Tensor& x, const BatchNorm2d& norm, Pool pool, bool training) {
  const at::Tensor input = x.contiguous(at::MemoryFormat::ChannelsLast);
  if (training) return NormReluPool::apply(input, norm.weight, norm.bias, norm, pool);
  return forward(input, Geometry(input, pool),
                 AffineValues(running_statistics(norm), norm.weight, norm.bias));
}

}  // namespace distill
