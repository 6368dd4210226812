#include "core/training/tally.h"

#include <numeric>

namespace distill {

at::Tensor outcome_of(const at::Tensor& loss, const at::Tensor& logits, const at::Tensor& labels,
                      const at::Tensor& teacher_logits) {
  const at::Tensor said = logits.argmax(1);
  // Counts of a batch are whole numbers that float32 holds exactly.
  const at::Tensor right = said.eq(labels).sum(at::kFloat);
  if (!teacher_logits.defined()) return at::stack({loss.detach(), right});
  return at::stack({loss.detach(), right, said.eq(teacher_logits.argmax(1)).sum(at::kFloat)});
}

Tally::Tally(int64_t batches, at::Device device)
    : outcomes_(at::empty({batches, 3}, at::TensorOptions(at::kFloat).device(device))) {}

void Tally::add(const at::Tensor& outcome, int64_t pictures) {
  outcomes_.select(0, batches()).narrow(0, 0, outcome.size(0)).copy_(outcome);
  pictures_.push_back(pictures);
}

void Tally::read() {
  read_ = outcomes_.to(at::kCPU);
}

double Tally::sum(int64_t column, int64_t first, int64_t last) const {
  const float* const outcomes = read_.const_data_ptr<float>();
  double sum = 0;
  for (int64_t i = first; i < last; ++i) {
    const double value = outcomes[3 * i + column];
    // The loss is the batch's mean, the others are counts.
    sum += column == 0 ? value * static_cast<double>(pictures_[i]) : value;
  }
  return sum;
}

Metrics Tally::metrics(int64_t first, int64_t last) const {
  const auto shown = static_cast<double>(
      std::accumulate(pictures_.begin() + first, pictures_.begin() + last, int64_t{0}));
  return {sum(0, first, last) / shown, sum(1, first, last) / shown};
}

double Tally::agreement(int64_t first, int64_t last) const {
  const auto shown = static_cast<double>(
      std::accumulate(pictures_.begin() + first, pictures_.begin() + last, int64_t{0}));
  return sum(2, first, last) / shown;
}

std::vector<double> Tally::losses(int64_t first, int64_t last) const {
  std::vector<double> losses;
  for (int64_t i = first; i < last; ++i) {
    losses.push_back(read_.const_data_ptr<float>()[3 * i]);
  }
  return losses;
}

}  // namespace distill
