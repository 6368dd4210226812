#include "core/nn/layers.h"

#include <cmath>

namespace distill {
namespace {

// torch.nn.init.kaiming_uniform_(weight, a=sqrt(5)) and the bias of reset_parameters: both are
// uniform in ±1/sqrt(fan_in), the weight's bound by way of gain and standard deviation.
void reset_parameters(at::Tensor& weight, at::Tensor& bias, at::Generator generator) {
  const auto fan_in = static_cast<double>(weight[0].numel());
  const double slope = std::sqrt(5.0);
  const double bound = std::sqrt(3.0) * std::sqrt(2.0 / (1 + slope * slope)) / std::sqrt(fan_in);
  // Drawn in contiguous order and then copied: the memory format must not change the values.
  weight.copy_(at::empty(weight.sizes()).uniform_(-bound, bound, generator));
  if (bias.defined()) {
    const double bias_bound = 1 / std::sqrt(fan_in);
    bias.uniform_(-bias_bound, bias_bound, generator);
  }
}

}  // namespace

at::Tensor Scope::tensor(const std::string& name, at::IntArrayRef shape,
                         at::ScalarType dtype) const {
  auto options = at::TensorOptions(dtype);
  // Convolutions in channels-last memory read their weights in that layout, too.
  if (shape.size() == 4) options = options.memory_format(at::MemoryFormat::ChannelsLast);
  at::Tensor tensor = at::empty(shape, options);
  state_->insert(path_.empty() ? name : path_ + "." + name, tensor);
  return tensor;
}

Conv2d::Conv2d(const Scope& scope, int64_t in, int64_t out, int64_t kernel, int64_t stride,
               int64_t padding, bool with_bias)
    : weight(scope.tensor("weight", {out, in, kernel, kernel})),
      bias(with_bias ? scope.tensor("bias", {out}) : at::Tensor()),
      stride(stride),
      padding(padding) {}

void Conv2d::initialize(at::Generator generator) {
  reset_parameters(weight, bias, generator);
}

at::Tensor Conv2d::operator()(const at::Tensor& x) const {
  const at::ScalarType dtype = x.scalar_type();
  return at::conv2d(x, weight.to(dtype), bias.defined() ? bias.to(dtype) : bias, stride, padding);
}

BatchNorm2d::BatchNorm2d(const Scope& scope, int64_t channels)
    : weight(scope.tensor("weight", {channels})),
      bias(scope.tensor("bias", {channels})),
      running_mean(scope.tensor("running_mean", {channels})),
      running_var(scope.tensor("running_var", {channels})),
      num_batches_tracked(scope.tensor("num_batches_tracked", {}, at::kLong)) {}

void BatchNorm2d::initialize() {
  weight.fill_(1);
  bias.zero_();
  running_mean.zero_();
  running_var.fill_(1);
  num_batches_tracked.zero_();
}

at::Tensor BatchNorm2d::operator()(const at::Tensor& x, bool training) const {
  if (training) at::Tensor(num_batches_tracked).add_(1);
  return at::batch_norm(x, weight, bias, running_mean, running_var, training, momentum, eps,
                        /*cudnn_enabled=*/true);
}

Linear::Linear(const Scope& scope, int64_t in, int64_t out)
    : weight(scope.tensor("weight", {out, in})), bias(scope.tensor("bias", {out})) {}

void Linear::initialize(at::Generator generator) {
  reset_parameters(weight, bias, generator);
}

at::Tensor Linear::operator()(const at::Tensor& x) const {
  return at::linear(x, weight, bias);
}

}  // namespace distill
