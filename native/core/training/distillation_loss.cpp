#include "core/training/distillation_loss.h"

namespace distill {

at::Tensor distillation_loss(const at::Tensor& student_logits, const at::Tensor& teacher_logits,
                             const at::Tensor& labels, double temperature, double alpha) {
  const at::Tensor student = at::log_softmax(student_logits / temperature, 1);
  const at::Tensor teacher = at::softmax(teacher_logits / temperature, 1);
  const auto batch = static_cast<double>(student_logits.size(0));
  const at::Tensor soft = at::kl_div(student, teacher, at::Reduction::Sum) / batch;
  const at::Tensor hard = at::cross_entropy_loss(student_logits, labels);
  return alpha * (temperature * temperature) * soft + (1 - alpha) * hard;
}

}  // namespace distill
