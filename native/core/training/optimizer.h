#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <span>
#include <vector>

#include "core/checkpoint/state_dict.h"
#include "core/names.h"
#include "core/training/schedule.h"

namespace distill {

// The numbers that optimizers work with, besides the schedule's; each optimizer reads its own.
struct OptimizerConfig {
  double weight_decay;  // decoupled, as AdamW's
};

// Moves parameters along their gradients. All parameters lie in one tensor, and so do their
// gradients, so that a step is one pass over each.
class Optimizer {
 public:
  // Moves the parameters' values into one block of memory, which they then look into, and makes
  // them leaves that gather gradients.
  explicit Optimizer(const std::vector<at::Tensor>& parameters);
  virtual ~Optimizer() = default;

  void zero_grad();
  virtual void step(const StepSize& size) = 0;
  // What it remembers of earlier steps, by name: the tensors themselves.
  virtual StateDict state() const = 0;

 protected:
  at::Tensor values_, gradients_;  // (all parameters)

 private:
  std::vector<at::Tensor> parameters_;
};

using MakeOptimizer = std::unique_ptr<Optimizer>(const std::vector<at::Tensor>& parameters,
                                                 const OptimizerConfig& config);

// Every optimizer by its name. A new one is a class and a line of the table in optimizer.cpp.
//
// 'adam': torch.optim.Adam with betas (StepSize::beta1, 0.999) and eps 1e-8, without weight decay.
//
// 'adamw': torch.optim.AdamW with the same numbers. Each step first takes learning_rate ·
// weight_decay of every parameter away, which is no part of the gradient.
std::span<const Named<MakeOptimizer*>> optimizers();

}  // namespace distill
