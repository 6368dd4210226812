#include "core/training/loss.h"

#include "core/data/sample_store.h"

namespace distill {
namespace {

// The operators of at::cross_entropy_loss. That one reads a size back from the device where there
// are weights and smoothing, and is NaN for a batch without a label.
at::Tensor labels_loss(const at::Tensor& logits, const at::Tensor& labels,
                       const std::optional<at::Tensor>& class_weights, double smoothing) {
  const at::Tensor log_probabilities = at::log_softmax(logits, 1);
  auto [loss, total_weight] =
      at::nll_loss_forward(log_probabilities, labels, class_weights, at::Reduction::Mean, no_label);
  if (smoothing > 0) {
    const at::Tensor weighted =
        class_weights ? log_probabilities * *class_weights : log_probabilities;
    const at::Tensor smooth = (-weighted.sum(1)).masked_fill(labels.eq(no_label), 0);  // (B)
    const auto classes = static_cast<double>(logits.size(1));
    loss = (1 - smoothing) * loss + smooth.sum() / total_weight * (smoothing / classes);
  }
  return loss.masked_fill(total_weight.eq(0), 0);
}

}  // namespace

at::Tensor distillation_loss(const at::Tensor& logits, const Batch& batch,
                             const LossConfig& config) {
  const double temperature = config.temperature, alpha = config.alpha;
  const at::Tensor student = at::log_softmax(logits / temperature, 1);
  const at::Tensor teacher = at::softmax(batch.teacher_logits / temperature, 1);
  const auto batch_size = static_cast<double>(logits.size(0));
  const at::Tensor soft = at::kl_div(student, teacher, at::Reduction::Sum) / batch_size;
  const at::Tensor hard = labels_loss(logits, batch.labels, config.class_weights, 0);
  return alpha * (temperature * temperature) * soft + (1 - alpha) * hard;
}

at::Tensor cross_entropy_loss(const at::Tensor& logits, const Batch& batch,
                              const LossConfig& config) {
  return labels_loss(logits, batch.labels, config.class_weights, config.label_smoothing);
}

std::span<const Named<Loss*>> losses() {
  static constexpr Named<Loss*> table[] = {
      {"distillation", &distillation_loss},
      {"cross-entropy", &cross_entropy_loss},
  };
  return table;
}

}  // namespace distill
