#pragma once

#include <ATen/ATen.h>

namespace distill {

// The pictures of a step, on the device.
struct Batch {
  at::Tensor images;          // (B, 3, S, S) in the type that the network computes in
  at::Tensor labels;          // (B) int64: classes, or no_label
  at::Tensor teacher_logits;  // (B, classes) float32; (B, 0) without a teacher
  at::Tensor noise;           // drawn by Learner::draw_noise; undefined where it draws none
};

}  // namespace distill
