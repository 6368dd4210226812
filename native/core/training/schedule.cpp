#include "core/training/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace distill {
namespace {

// From start to end along half a cosine; progress in 0..1.
double anneal(double start, double end, double progress) {
  return end + (start - end) / 2 * (1 + std::cos(std::numbers::pi * progress));
}

StepSize constant(int64_t, const ScheduleConfig& config) {
  return {config.peak};
}

StepSize one_cycle(int64_t step, const ScheduleConfig& config) {
  constexpr double slow = 0.95, fast = 0.85;  // beta1 at small and at large learning rates
  const auto now = static_cast<double>(step), total = static_cast<double>(config.total_steps);
  const double peak = config.peak, start = peak / 25, end = start / 1e4;
  const double turn = 0.3 * total - 1, last = total - 1;
  if (now <= turn) return {anneal(start, peak, now / turn), anneal(slow, fast, now / turn)};
  const double progress = (now - turn) / (last - turn);
  return {anneal(peak, end, progress), anneal(fast, slow, progress)};
}

StepSize cosine(int64_t step, const ScheduleConfig& config) {
  const auto now = static_cast<double>(step), total = static_cast<double>(config.total_steps);
  const auto warmup = static_cast<double>(std::min(config.warmup_steps, config.total_steps));
  if (now < warmup) return {config.peak * (now + 1) / (warmup + 1)};
  return {anneal(config.peak, 0, (now - warmup) / (total - warmup))};
}

}  // namespace

std::span<const Named<Schedule*>> schedules() {
  static constexpr Named<Schedule*> table[] = {
      {"constant", &constant},
      {"one-cycle", &one_cycle},
      {"cosine", &cosine},
  };
  return table;
}

}  // namespace distill
