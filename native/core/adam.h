#pragma once

#include <ATen/ATen.h>

#include <vector>

namespace distill {

// torch.optim.Adam with its defaults: betas (0.9, 0.999), eps 1e-8, no weight decay.
//
// All parameters lie in one tensor, so that a step is one pass over parameters, gradients and both
// moments.
class Adam {
 public:
  // Moves the parameters' values into one block of memory, which they then look into, and makes
  // them leaves that gather gradients.
  Adam(const std::vector<at::Tensor>& parameters, double learning_rate);

  void zero_grad();
  void step();

 private:
  std::vector<at::Tensor> parameters_;
  at::Tensor values_, gradients_, exp_avg_, exp_avg_sq_;  // (all parameters)
  at::Tensor steps_;                                      // ()
  double learning_rate_;
};

}  // namespace distill
