#pragma once

#include <ATen/ATen.h>

#include <optional>
#include <span>

#include "core/names.h"
#include "core/training/batch.h"

namespace distill {

// The numbers that losses are computed with; each loss reads its own.
struct LossConfig {
  double temperature;  // softens the logits of teacher and student; above 0
  // Weighs the teacher's (soft) term; 0..1. At 0 nothing learns from pictures without a label, and
  // no epoch shows them.
  double alpha;
  double label_smoothing;  // the share of a label that is spread over all classes; 0..1
  // (classes) float32 on the logits' device: weighs each class in the labels' term; none: they all
  // weigh the same.
  std::optional<at::Tensor> class_weights;
};

// logits (B, classes) float32 and the rest of their batch -> scalar. Only operators of ATen, and
// nothing that is read back from the device: on a GPU the step is replayed as a graph.
using Loss = at::Tensor(const at::Tensor& logits, const Batch& batch, const LossConfig& config);

// Every loss by its name. A new one is a function and a line of the table in loss.cpp.
std::span<const Named<Loss*>> losses();

// 'distillation', by Hinton, Vinyals and Dean (2015):
//
//   alpha · T² · KL(softmax(teacher/T) ‖ softmax(student/T)) + (1 − alpha) · CE(student, labels)
//
// where KL is averaged over all pictures of the batch, and CE is 'cross-entropy' without smoothing.
// T² keeps the soft term's gradient at the hard term's scale whatever the temperature. `alpha`
// weighs the teacher's (soft) term.
Loss distillation_loss;

// 'cross-entropy': torch.nn.functional.cross_entropy(logits, labels, weight=…, label_smoothing=…),
// averaged over the labelled pictures of the batch, as with ignore_index: with class weights
// sum(w_y · nll) / sum(w_y). It is 0, and so is its gradient, for a batch without a label. It needs
// no teacher.
Loss cross_entropy_loss;

}  // namespace distill
