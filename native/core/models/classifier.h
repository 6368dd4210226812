#pragma once

#include <ATen/ATen.h>

#include <optional>
#include <string>
#include <variant>

#include "core/checkpoint/checkpoint.h"
#include "core/data/normalize.h"
#include "core/device/device.h"
#include "core/device/graph.h"
#include "core/models/densenet.h"
#include "core/models/frozen_densenet.h"
#include "core/models/student.h"

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

// A model that is asked about pictures.
class Classifier {
 public:
  using Model = std::variant<Student, FrozenDenseNet>;
  Classifier(Model model, const Preprocessing& preprocessing, const Compute& compute);
  // A student or a DenseNet. Throws ERR_MODEL_ARCHITECTURE where the checkpoint holds neither, and
  // what reading it throws.
  Classifier(const std::string& path, const Preprocessing& preprocessing, const Compute& compute);
  Classifier(const Classifier&) = delete;  // the step reads it where it is
  Classifier& operator=(const Classifier&) = delete;

  // pixels (B, S, S, 3) uint8 -> logits (B, classes) float32, both on the CPU
  at::Tensor logits(const at::Tensor& pixels);

 private:
  at::Device device_;
  Normalizer normalize_;
  Model model_;
  ReplayedStep step_;  // {pixels} -> logits, on the device
};

}  // namespace distill
