#include "core/training/monitor.h"

namespace distill {
namespace {

// The greater value is better, or the lesser loss at the same one.
bool is_greater(double value, double before, double min_delta, bool has_less_loss) {
  return value > before + min_delta || (min_delta == 0 && value == before && has_less_loss);
}

}  // namespace

bool leaves_nothing(const Scores& scores) {
  return scores.loss < 0.0001 || scores.accuracy > 0.9999;
}

bool is_better(const Scores& scores, const std::optional<Scores>& best, Monitor monitor,
               double min_delta) {
  // The reference starts from these.
  const double loss_before = best ? best->loss : 100, accuracy_before = best ? best->accuracy : 0;
  const bool has_less_loss = scores.loss < loss_before - min_delta;
  const bool is_more_accurate = scores.accuracy > accuracy_before + min_delta;
  if (monitor == Monitor::accuracy_and_loss) {
    // One of them is enough where nothing is left to learn.
    return leaves_nothing(scores) ? is_more_accurate || has_less_loss
                                  : is_more_accurate && has_less_loss;
  }
  if (!best) return true;
  switch (monitor) {
    case Monitor::accuracy:
      return is_greater(scores.accuracy, best->accuracy, min_delta, has_less_loss);
    case Monitor::agreement:
      return is_greater(scores.agreement, best->agreement, min_delta, has_less_loss);
    default:
      return has_less_loss;
  }
}

void KeptBy::see(const EpochReport& report) {
  const Scores scores(report);
  for (size_t i = 0; i < kept_.size(); ++i) {
    const Monitor monitor = monitors[i].value;
    if (monitor == Monitor::agreement && !report.val_agreement) continue;
    const auto best = kept_[i] ? std::optional(kept_[i]->scores) : std::nullopt;
    // What a training starts from is the best so far in any case.
    if (report.epoch == 0 || is_better(scores, best, monitor)) kept_[i] = {scores, report.epoch};
  }
}

std::optional<int64_t> KeptBy::operator[](Monitor monitor) const {
  for (size_t i = 0; i < kept_.size(); ++i) {
    if (monitors[i].value == monitor && kept_[i]) return kept_[i]->epoch;
  }
  return std::nullopt;
}

void Patience::see(const EpochReport& report) {
  const Scores scores(report);
  if (is_better(scores, best_, monitor_, min_delta_)) {
    best_ = scores;
    waited_ = 0;
  } else {
    ++waited_;
  }
}

}  // namespace distill
