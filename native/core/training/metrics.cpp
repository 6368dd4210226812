#include "core/training/metrics.h"

#include <numeric>

namespace distill {

at::Tensor batch_metrics(const at::Tensor& loss, const at::Tensor& logits, const at::Tensor& labels,
                         const at::Tensor& teacher_logits) {
  const at::Tensor predicted = logits.argmax(1);
  // A batch's counts are whole numbers that float32 holds exactly.
  const at::Tensor right = predicted.eq(labels).sum(at::kFloat);
  if (!teacher_logits.defined()) return at::stack({loss.detach(), right});
  const at::Tensor agreed = predicted.eq(teacher_logits.argmax(1)).sum(at::kFloat);
  return at::stack({loss.detach(), right, agreed});
}

EpochMetrics::EpochMetrics(int64_t batches, at::Device device)
    : on_device_(at::empty({batches, 3}, at::TensorOptions(at::kFloat).device(device))) {}

void EpochMetrics::add(const at::Tensor& metrics, int64_t pictures) {
  on_device_.select(0, batches()).narrow(0, 0, metrics.size(0)).copy_(metrics);
  pictures_.push_back(pictures);
}

void EpochMetrics::read() {
  on_host_ = on_device_.to(at::kCPU);
}

double EpochMetrics::average_of(int64_t column, int64_t first, int64_t last) const {
  const float* const values = on_host_.const_data_ptr<float>();
  double sum = 0;
  for (int64_t i = first; i < last; ++i) {
    const double value = values[3 * i + column];
    // The loss is the batch's mean, the others are counts.
    sum += column == 0 ? value * static_cast<double>(pictures_[i]) : value;
  }
  return sum / static_cast<double>(std::accumulate(pictures_.begin() + first,
                                                   pictures_.begin() + last, int64_t{0}));
}

Metrics EpochMetrics::average(int64_t first, int64_t last) const {
  return {average_of(0, first, last), average_of(1, first, last)};
}

double EpochMetrics::agreement(int64_t first, int64_t last) const {
  return average_of(2, first, last);
}

std::vector<double> EpochMetrics::losses(int64_t first, int64_t last) const {
  std::vector<double> losses;
  for (int64_t i = first; i < last; ++i) losses.push_back(on_host_.const_data_ptr<float>()[3 * i]);
  return losses;
}

}  // namespace distill
