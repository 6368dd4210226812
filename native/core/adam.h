#pragma once

#include <ATen/ATen.h>

#include <vector>

namespace distill {

// torch.optim.Adam with its defaults: betas (0.9, 0.999), eps 1e-8, no weight decay.
class Adam {
 public:
  // Makes the parameters leaves that gather gradients.
  Adam(std::vector<at::Tensor> parameters, double learning_rate);

  void zero_grad();
  void step();

 private:
  std::vector<at::Tensor> parameters_, exp_avgs_, exp_avg_sqs_, steps_;
  double learning_rate_;
};

}  // namespace distill
