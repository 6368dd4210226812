#pragma once

#include <ATen/ATen.h>

#include <vector>

#include "core/training/schedule.h"

namespace distill {

// torch.optim.AdamW with betas (beta1, 0.999) and eps 1e-8; without weight decay that is Adam.
//
// All parameters lie in one tensor, so that a step is one pass over parameters, gradients and both
// moments.
class Adam {
 public:
  // Moves the parameters' values into one block of memory, which they then look into, and makes
  // them leaves that gather gradients. Each step first takes learning_rate · weight_decay of every
  // parameter away, as AdamW does: it is no part of the gradient.
  explicit Adam(const std::vector<at::Tensor>& parameters, double weight_decay = 0);

  void zero_grad();
  void step(const StepSize& size);

 private:
  std::vector<at::Tensor> parameters_;
  at::Tensor values_, gradients_, exp_avg_, exp_avg_sq_;  // (all parameters)
  at::Tensor steps_;                                      // ()
  double weight_decay_;
};

}  // namespace distill
