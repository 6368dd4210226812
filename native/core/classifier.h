#pragma once

#include <ATen/ATen.h>

#include <optional>
#include <string>
#include <variant>

#include "core/checkpoint/checkpoint.h"
#include "core/config.h"
#include "core/device.h"
#include "core/models/densenet.h"
#include "core/models/frozen_densenet.h"
#include "core/models/student.h"
#include "core/normalize.h"

namespace distill {

// What a checkpoint holds, as far as this project knows it.
struct Architecture {
  std::string name;  // "student", "densenet121", …
  int64_t classes;
};
std::optional<Architecture> recognize(const Checkpoint& checkpoint);

// The teacher of a distillation. Throws ERR_TEACHER_ARCHITECTURE where the checkpoint holds
// something else than a DenseNet 121, 161, 169 or 201, and what reading it throws.
DenseNet load_teacher(const std::string& path);

// The weights of a student or a DenseNet, complete and under its names of today, as float32. Throws
// ERR_MODEL_ARCHITECTURE where the checkpoint holds neither, and what reading it throws.
StateDict load_model_weights(const Checkpoint& checkpoint);

// A model for evaluation: a student, or a teacher for comparison.
class Classifier {
 public:
  // Throws ERR_MODEL_ARCHITECTURE where the checkpoint holds neither, and what reading it throws.
  Classifier(const std::string& path, const Preprocessing& preprocessing, const Compute& compute);

  // pixels (B, S, S, 3) uint8 -> logits (B, classes) float32 on the CPU
  at::Tensor logits(const at::Tensor& pixels) const;

 private:
  Normalizer normalize_;
  std::variant<Student, FrozenDenseNet> model_;
};

}  // namespace distill
