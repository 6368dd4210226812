#pragma once

#include <cstdint>

namespace distill {

// What an optimizer's step is taken with.
struct StepSize {
  double learning_rate;
  double beta1 = 0.9;  // Adam's momentum
};

// How the learning rate goes over a training's steps, as PyTorch's schedulers have it:
//   constant   the peak at every step
//   one_cycle  OneCycleLR(max_lr=peak, total_steps) with its defaults: by cosines from peak/25 up
//   to
//              the peak in the first 30 % of the steps, then down to peak/25/10000; beta1 the other
//              way, from 0.95 to 0.85 and back
//   cosine     linearly up to the peak in `warmup_steps` (LinearLR(start_factor=1/(warmup + 1),
//              total_iters=warmup)), then CosineAnnealingLR(T_max=total − warmup) down to zero
class Schedule {
 public:
  enum class Kind { constant, one_cycle, cosine };
  Schedule(Kind kind, double peak, int64_t total_steps, int64_t warmup_steps = 0);

  // step: from 0.
  StepSize at(int64_t step) const;

 private:
  Kind kind_;
  double peak_;
  int64_t total_steps_, warmup_steps_;
};

}  // namespace distill
