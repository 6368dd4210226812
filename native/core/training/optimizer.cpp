#include "core/training/optimizer.h"

#include <c10/core/GradMode.h>

namespace distill {
namespace {

// A view of the elements in the order in which they lie in memory, without gaps.
at::Tensor flat(const at::Tensor& tensor) {
  return tensor.as_strided({tensor.numel()}, {1});
}

class AdamW final : public Optimizer {
 public:
  AdamW(const std::vector<at::Tensor>& parameters, double weight_decay)
      : Optimizer(parameters),
        exp_avg_(at::zeros_like(values_)),
        exp_avg_sq_(at::zeros_like(values_)),
        steps_(at::zeros({}, values_.options())),
        weight_decay_(weight_decay) {}

  void step(const StepSize& size) override {
    const c10::NoGradGuard no_grad;
    steps_.add_(1);
    at::_fused_adamw_({values_}, {gradients_}, {exp_avg_}, {exp_avg_sq_}, /*max_exp_avg_sqs=*/{},
                      {steps_}, size.learning_rate, size.beta1, /*beta2=*/0.999, weight_decay_,
                      /*eps=*/1e-8, /*amsgrad=*/false, /*maximize=*/false);
  }

  StateDict state() const override {
    StateDict state;
    state.insert("exp_avg", exp_avg_);
    state.insert("exp_avg_sq", exp_avg_sq_);
    state.insert("steps", steps_);
    return state;
  }

 private:
  at::Tensor exp_avg_, exp_avg_sq_;  // (all parameters)
  at::Tensor steps_;                 // ()
  double weight_decay_;
};

// AdamW without weight decay is Adam.
std::unique_ptr<Optimizer> make_adam(const std::vector<at::Tensor>& parameters,
                                     const OptimizerConfig&) {
  return std::make_unique<AdamW>(parameters, /*weight_decay=*/0);
}

std::unique_ptr<Optimizer> make_adamw(const std::vector<at::Tensor>& parameters,
                                      const OptimizerConfig& config) {
  return std::make_unique<AdamW>(parameters, config.weight_decay);
}

}  // namespace

Optimizer::Optimizer(const std::vector<at::Tensor>& parameters) : parameters_(parameters) {
  std::vector<at::Tensor> values;
  for (const at::Tensor& parameter : parameters_) values.push_back(flat(parameter));
  values_ = at::cat(values);
  gradients_ = at::zeros_like(values_);
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

void Optimizer::zero_grad() {
  gradients_.zero_();  // backward() adds to what is there
}

std::span<const Named<MakeOptimizer*>> optimizers() {
  static constexpr Named<MakeOptimizer*> table[] = {
      {"adam", &make_adam},
      {"adamw", &make_adamw},
  };
  return table;
}

}  // namespace distill
