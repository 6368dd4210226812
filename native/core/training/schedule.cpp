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

}  // namespace

Schedule::Schedule(Kind kind, double peak, int64_t total_steps, int64_t warmup_steps)
    : kind_(kind),
      peak_(peak),
      total_steps_(total_steps),
      warmup_steps_(std::min(warmup_steps, total_steps)) {}

StepSize Schedule::at(int64_t step) const {
  const auto now = static_cast<double>(step), total = static_cast<double>(total_steps_);
  if (kind_ == Kind::one_cycle) {
    constexpr double slow = 0.95, fast = 0.85;  // beta1 at small and at large learning rates
    const double start = peak_ / 25, end = start / 1e4;
    const double turn = 0.3 * total - 1, last = total - 1;
    if (now <= turn) {
      return {anneal(start, peak_, now / turn), anneal(slow, fast, now / turn)};
    }
    const double progress = (now - turn) / (last - turn);
    return {anneal(peak_, end, progress), anneal(fast, slow, progress)};
  }
  if (kind_ == Kind::cosine) {
    const auto warmup = static_cast<double>(warmup_steps_);
    if (now < warmup) return {peak_ * (now + 1) / (warmup + 1)};
    return {anneal(peak_, 0, (now - warmup) / (total - warmup))};
  }
  return {peak_};
}

}  // namespace distill
