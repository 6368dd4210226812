#pragma once

#include <ATen/ATen.h>

#include <optional>
#include <vector>

#include "core/checkpoint/checkpoint.h"
#include "core/nn/layers.h"

namespace distill {

// The reference's StudentModel: four blocks of Conv3x3, BatchNorm, ReLU (and MaxPool2 after the
// first three), the average of what is left of the picture, and two linear layers.
class Student {
 public:
  explicit Student(int64_t classes, double drop_rate = 0.2);

  // Seeded as torch.manual_seed(seed); StudentModel(classes).
  void initialize(at::Generator generator);
  // images (B, 3, S, S) -> logits (B, classes) float32. The convolutions compute in the images'
  // type, float32 or bfloat16. Evaluation: running statistics, no dropout.
  at::Tensor forward(const at::Tensor& images) const;
  // The same in training mode: batch statistics, and the dropout that was drawn; undefined: none.
  at::Tensor forward_in_training(const at::Tensor& images, const at::Tensor& dropout = {}) const;
  // What the hidden features of so many pictures (B, 128) are multiplied by; undefined where none
  // is dropped. Drawn from a generator of the run's own, so that it repeats.
  at::Tensor draw_dropout(int64_t pictures, at::Generator generator) const;

  const StateDict& state() const { return state_; }
  StateDict& state() { return state_; }
  // What an optimizer moves: everything but the running statistics.
  std::vector<at::Tensor> parameters() const;
  int64_t classes() const { return classes_; }

 private:
  at::Tensor forward(const at::Tensor& images, bool training, const at::Tensor& dropout) const;

  StateDict state_;
  int64_t classes_;
  double drop_rate_;
  struct Block {
    Conv2d convolution;
    BatchNorm2d norm;
  };
  std::vector<Block> blocks_;
  Linear hidden_, output_;
};

// The number of classes if the checkpoint holds a student.
std::optional<int64_t> student_classes(const Checkpoint& checkpoint);

}  // namespace distill
