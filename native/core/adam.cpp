#include "core/adam.h"

#include <c10/core/GradMode.h>

namespace distill {

Adam::Adam(std::vector<at::Tensor> parameters, double learning_rate)
    : parameters_(std::move(parameters)), learning_rate_(learning_rate) {
  for (at::Tensor& parameter : parameters_) {
    parameter.requires_grad_();
    exp_avgs_.push_back(at::zeros_like(parameter));
    exp_avg_sqs_.push_back(at::zeros_like(parameter));
    steps_.push_back(at::zeros({}, parameter.options().requires_grad(false)));
  }
}

void Adam::zero_grad() {
  for (at::Tensor& parameter : parameters_) parameter.mutable_grad() = at::Tensor();
}

void Adam::step() {
  const c10::NoGradGuard no_grad;
  std::vector<at::Tensor> gradients;
  gradients.reserve(parameters_.size());
  for (const at::Tensor& parameter : parameters_) gradients.push_back(parameter.grad());
  at::_foreach_add_(steps_, 1);
  // One pass over parameter, gradient and both moments.
  at::_fused_adam_(parameters_, gradients, exp_avgs_, exp_avg_sqs_, /*max_exp_avg_sqs=*/{}, steps_,
                   learning_rate_, /*beta1=*/0.9, /*beta2=*/0.999, /*weight_decay=*/0.0,
                   /*eps=*/1e-8, /*amsgrad=*/false, /*maximize=*/false);
}

}  // namespace distill
