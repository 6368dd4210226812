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

void EpochMetrics::clear() {
  pictures_.clear();
  labelled_.clear();
}

void EpochMetrics::add(const at::Tensor& metrics, int64_t pictures, int64_t labelled) {
  on_device_.select(0, batches()).narrow(0, 0, metrics.size(0)).copy_(metrics);
  pictures_.push_back(pictures);
  labelled_.push_back(labelled);
}

at::Tensor EpochMetrics::rows() const {
  const auto column = [](const std::vector<int64_t>& counts) {
    return at::tensor(counts, at::kLong).to(at::kDouble).unsqueeze(1);
  };
  const at::Tensor measured = on_device_.narrow(0, 0, batches()).to(at::kCPU, at::kDouble);
  return at::cat({measured, column(pictures_), column(labelled_)}, 1);
}

void EpochMetrics::restore(const at::Tensor& rows) {
  on_device_.narrow(0, 0, rows.size(0)).copy_(rows.narrow(1, 0, 3));
  const auto counts = [&](int64_t column) {
    const at::Tensor values = rows.select(1, column).to(at::kLong).contiguous();
    const auto* first = values.const_data_ptr<int64_t>();
    return std::vector<int64_t>(first, first + values.numel());
  };
  pictures_ = counts(3);
  labelled_ = counts(4);
}

void EpochMetrics::read() {
  on_host_ = on_device_.to(at::kCPU);
}

double EpochMetrics::share(int64_t column, const std::vector<int64_t>& of, int64_t first,
                           int64_t last) const {
  const float* const values = on_host_.const_data_ptr<float>();
  double sum = 0;
  for (int64_t i = first; i < last; ++i) sum += values[3 * i + column];
  const auto total = std::accumulate(of.begin() + first, of.begin() + last, int64_t{0});
  return total == 0 ? 0 : sum / static_cast<double>(total);
}

Metrics EpochMetrics::average(int64_t first, int64_t last) const {
  const float* const values = on_host_.const_data_ptr<float>();
  double sum = 0, pictures = 0;
  for (int64_t i = first; i < last; ++i) {
    const auto count = static_cast<double>(pictures_[i]);
    sum += values[3 * i] * count;
    pictures += count;
  }
  return {sum / pictures, share(1, labelled_, first, last)};
}

double EpochMetrics::agreement(int64_t first, int64_t last) const {
  return share(2, pictures_, first, last);
}

std::vector<double> EpochMetrics::losses(int64_t first, int64_t last) const {
  std::vector<double> losses;
  for (int64_t i = first; i < last; ++i) losses.push_back(on_host_.const_data_ptr<float>()[3 * i]);
  return losses;
}

}  // namespace distill
