#include "core/training/adam.h"

#include <c10/core/GradMode.h>

namespace distill {
namespace {

// The elements in the order in which they lie in memory, without gaps: a view.
at::Tensor flat(const at::Tensor& tensor) {
  return tensor.as_strided({tensor.numel()}, {1});
}

}  // namespace

Adam::Adam(const std::vector<at::Tensor>& parameters, double weight_decay)
    : parameters_(parameters), weight_decay_(weight_decay) {
  std::vector<at::Tensor> values;
  for (const at::Tensor& parameter : parameters_) values.push_back(flat(parameter));
  values_ = at::cat(values);
  gradients_ = at::zeros_like(values_);
  exp_avg_ = at::zeros_like(values_);
  exp_avg_sq_ = at::zeros_like(values_);
  steps_ = at::zeros({}, values_.options());
  int64_t offset = 0;
  for (at::Tensor& parameter : parameters_) {
    const auto place = [&](const at::Tensor& block) {
      return block.as_strided(parameter.sizes(), parameter.strides(), offset);
    };
    const at::Tensor gradient = place(gradients_);
    parameter.set_data(place(values_));
    parameter.requires_grad_();
    parameter.mutable_grad() = gradient;
    offset += parameter.numel();
  }
}

void Adam::zero_grad() {
  gradients_.zero_();  // backward adds to what is there
}

void Adam::step(const StepSize& size) {
  const c10::NoGradGuard no_grad;
  steps_.add_(1);
  at::_fused_adamw_({values_}, {gradients_}, {exp_avg_}, {exp_avg_sq_}, /*max_exp_avg_sqs=*/{},
                    {steps_}, size.learning_rate, size.beta1, /*beta2=*/0.999, weight_decay_,
                    /*eps=*/1e-8, /*amsgrad=*/false, /*maximize=*/false);
}

}  // namespace distill
