#pragma once

#include <ATen/ATen.h>

namespace distill {

// Hinton, Vinyals and Dean (2015):
//
//   alpha · T² · KL(softmax(teacher/T) ‖ softmax(student/T)) + (1 − alpha) · CE(student, labels)
//
// both terms averaged over the batch. T² keeps the soft term's gradient at the hard term's scale
// whatever the temperature. `alpha` weighs the teacher's (soft) term.
//
// logits (B, classes), labels (B) int64 -> scalar
at::Tensor distillation_loss(const at::Tensor& student_logits, const at::Tensor& teacher_logits,
                             const at::Tensor& labels, double temperature, double alpha);

}  // namespace distill
