#include "core/training/loss.h"

namespace distill {

at::Tensor distillation_loss(const at::Tensor& logits, const Batch& batch,
                             const LossConfig& config) {
  const double temperature = config.temperature, alpha = config.alpha;
  const at::Tensor student = at::log_softmax(logits / temperature, 1);
  const at::Tensor teacher = at::softmax(batch.teacher_logits / temperature, 1);
  const auto batch_size = static_cast<double>(logits.size(0));
  const at::Tensor soft = at::kl_div(student, teacher, at::Reduction::Sum) / batch_size;
  const at::Tensor hard = at::cross_entropy_loss(logits, batch.labels);
  return alpha * (temperature * temperature) * soft + (1 - alpha) * hard;
}

at::Tensor cross_entropy_loss(const at::Tensor& logits, const Batch& batch,
                              const LossConfig& config) {
  return at::cross_entropy_loss(logits, batch.labels, /*weight=*/{}, at::Reduction::Mean,
                                /*ignore_index=*/-100, config.label_smoothing);
}

std::span<const Named<Loss*>> losses() {
  static constexpr Named<Loss*> table[] = {
      {"distillation", &distillation_loss},
      {"cross-entropy", &cross_entropy_loss},
  };
  return table;
}

}  // namespace distill
