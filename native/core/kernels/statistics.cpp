#include "core/kernels/statistics.h"

#include <algorithm>
#include <cmath>

namespace distill {

Statistics running_statistics(const at::Tensor& input_bias, const BatchNorm2d& norm) {
  return {norm.running_mean - input_bias,
          (norm.running_var.to(at::kDouble) + BatchNorm2d::eps).rsqrt().to(at::kFloat)};
}

Statistics batch_statistics(const std::vector<double>& mean, const std::vector<double>& var,
                            int64_t count, const at::Tensor& input_bias, const BatchNorm2d& norm) {
  const auto channels = static_cast<int64_t>(mean.size());
  const Statistics statistics{at::empty({channels}), at::empty({channels})};
  constexpr double momentum = BatchNorm2d::momentum;
  const double unbiased = static_cast<double>(count) / static_cast<double>(count - 1);
  const float* bias = input_bias.const_data_ptr<float>();
  float* running_mean = norm.running_mean.data_ptr<float>();
  float* running_var = norm.running_var.data_ptr<float>();
  for (int64_t c = 0; c < channels; ++c) {
    // Rounding may take it below zero; NaN stays.
    const double spread = var[c] < 0 ? 0 : var[c];
    statistics.mean.data_ptr<float>()[c] = static_cast<float>(mean[c]);
    statistics.inverse_std.data_ptr<float>()[c] =
        static_cast<float>(1 / std::sqrt(spread + BatchNorm2d::eps));
    running_mean[c] =
        static_cast<float>((1 - momentum) * running_mean[c] + momentum * (mean[c] + bias[c]));
    running_var[c] =
        static_cast<float>((1 - momentum) * running_var[c] + momentum * spread * unbiased);
  }
  at::Tensor(norm.num_batches_tracked).add_(1);
  return statistics;
}

}  // namespace distill
