#pragma once

#include <cstdint>
#include <span>

#include "core/names.h"

namespace distill {

// The numbers of one optimizer step.
struct StepSize {
  double learning_rate;
  double beta1 = 0.9;  // Adam's momentum; its default in PyTorch
};

// The extent of a schedule.
struct ScheduleConfig {
  double peak;           // the largest learning rate
  int64_t total_steps;   // of the whole training
  int64_t warmup_steps;  // of these, the first ones in which the learning rate grows
};

// The size of a step, counted from 0.
using Schedule = StepSize(int64_t step, const ScheduleConfig& config);

// Every schedule by its name, as PyTorch's schedulers have them. A new one is a function and a line
// of the table in schedule.cpp.
//
//   'constant'   the peak at every step
//   'one-cycle'  OneCycleLR(max_lr=peak, total_steps) with its defaults: by cosines from peak/25 up
//                to the peak in the first 30 % of the steps, then down to peak/25/10000; beta1 the
//                other way, from 0.95 to 0.85 and back
//   'cosine'     linearly up to the peak in `warmup_steps` (LinearLR(start_factor=1/(warmup + 1),
//                total_iters=warmup)), then CosineAnnealingLR(T_max=total − warmup) down to zero
std::span<const Named<Schedule*>> schedules();

}  // namespace distill
