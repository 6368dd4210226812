#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <optional>
#include <vector>

#include "core/checkpoint/checkpoint.h"
#include "core/models/network.h"
#include "core/nn/layers.h"

namespace distill {

// The reference's StudentModel: four blocks of Conv3x3, BatchNorm and ReLU, each of the first three
// followed by MaxPool2 and the last by the average of the whole picture, and two linear layers.
class Student final : public Network {
 public:
  Student(int64_t classes, double drop_rate);

  StateDict& state() override { return state_; }
  const StateDict& state() const override { return state_; }
  const Linear& head() const override { return output_; }
  // As torch.manual_seed(seed); StudentModel(classes).
  void initialize(at::Generator generator) override;
  // Factors of the hidden features, (B, 128).
  at::Tensor draw_dropout(int64_t pictures, at::Generator generator) const override;
  at::Tensor forward(const at::Tensor& images, const at::Tensor& dropout) const override;
  // Reads this network's own weights, which it moves to compute's device.
  std::unique_ptr<Evaluator> evaluator(const Compute& compute) override;

  // images (B, 3, S, S) -> the input of the last layer, before dropout: (B, 128) float32
  at::Tensor features(const at::Tensor& images, bool training) const;

 private:
  struct Block {
    Conv2d convolution;
    BatchNorm2d norm;
  };
  static std::vector<Block> make_blocks(const Scope& features);

  StateDict state_;
  double drop_rate_;
  std::vector<Block> blocks_;
  Linear hidden_, output_;
};

// The number of classes, if the checkpoint's names and shapes are those of a student.
std::optional<int64_t> student_classes(const Checkpoint& checkpoint);

}  // namespace distill
