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
// followed by MaxPool2 and the last by the average of the whole picture, and two linear layers. Of
// width w the blocks have 32w, 64w, 128w and 256w channels, the first linear layer 128w features;
// the reference's has width 1.
class Student final : public Network {
 public:
  static constexpr double reference_drop_rate = 0.2;

  // Throws ERR_MODEL_ARCHITECTURE where there is no such width: it is a multiple of width_step, and
  // max_width at most, so that all channels are whole vectors of 8.
  Student(int64_t classes, double drop_rate, double width);
  static constexpr double width_step = 0.25, max_width = 8;

  StateDict& state() override { return state_; }
  const StateDict& state() const override { return state_; }
  const Linear* head() const override { return &output_; }
  // As torch.manual_seed(seed); StudentModel(classes).
  void initialize(at::Generator generator) override;
  // Factors of the hidden features, (B, 128w).
  at::Tensor draw_dropout(int64_t pictures, at::Generator generator) const override;
  at::Tensor forward(const at::Tensor& images, const at::Tensor& dropout) const override;
  // Reads this network's own weights, which it moves to compute's device.
  std::unique_ptr<Evaluator> evaluator(const Compute& compute) override;

  std::string exported_program() const override;

  // images (B, 3, S, S) -> the input of the last layer, before dropout: (B, 128w) float32
  at::Tensor features(const at::Tensor& images, bool training) const;

 private:
  struct Block {
    Conv2d convolution;
    BatchNorm2d norm;
  };
  static std::vector<Block> make_blocks(const Scope& features, int64_t base);

  StateDict state_;
  double drop_rate_;
  std::vector<Block> blocks_;
  Linear hidden_, output_;
};

// A student's classes and width, if the checkpoint's names and shapes are those of one.
struct StudentShape {
  int64_t classes;
  double width;
};
std::optional<StudentShape> student_shape(const Checkpoint& checkpoint);

}  // namespace distill
