#pragma once

#include <ATen/ATen.h>

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "core/checkpoint/checkpoint.h"
#include "core/nn/layers.h"

namespace distill {

// What tells one DenseNet from another (Huang et al. 2017, table 1).
struct DenseNetVariant {
  std::string name;                     // torchvision's, such as "densenet121"
  int64_t growth_rate;                  // channels that each layer adds
  std::array<int64_t, 4> block_config;  // layers in each block
  int64_t init_features;                // channels of the first convolution

  // Channels after so many blocks and the transitions between them, which halve them.
  int64_t channels_after(size_t blocks) const;
};

// torchvision's densenet121, 161, 169 and 201.
const std::vector<DenseNetVariant>& densenet_variants();

// torchvision's DenseNet, under its names, for training; FrozenDenseNet evaluates with its weights.
class DenseNet {
 public:
  DenseNet(DenseNetVariant variant, int64_t classes);

  // Seeded as torch.manual_seed(seed); torchvision.models.densenet121(num_classes=classes).
  void initialize(at::Generator generator);
  // The last layer alone, as torch.nn.Linear's constructor draws it.
  void initialize_head(at::Generator generator);
  // images (B, 3, S, S), channels-last -> logits (B, classes) float32, in training mode: batch
  // statistics, and the running ones move. Convolutions compute in the images' type. A picture of
  // 32 pixels is the smallest: the last features are of 1x1.
  at::Tensor forward(const at::Tensor& images) const;
  const StateDict& state() const { return state_; }
  StateDict& state() { return state_; }
  const DenseNetVariant& variant() const { return variant_; }
  int64_t classes() const { return classes_; }

  struct DenseLayer {
    BatchNorm2d norm1;
    Conv2d conv1;
    BatchNorm2d norm2;
    Conv2d conv2;
  };
  struct Transition {
    BatchNorm2d norm;
    Conv2d conv;
  };
  // A dense block and the transition behind it; the last block has none.
  struct Stage {
    std::vector<DenseLayer> layers;
    std::optional<Transition> transition;
  };
  struct Layers {
    Conv2d conv0;
    BatchNorm2d norm0;
    std::vector<Stage> stages;
    BatchNorm2d norm5;
    Linear classifier;
  };
  const Layers& layers() const { return layers_; }

 private:
  static Layers make_layers(const Scope& model, const DenseNetVariant& variant, int64_t classes);

  StateDict state_;
  DenseNetVariant variant_;
  int64_t classes_;
  Layers layers_;
};

// The variant and the number of classes, read off a checkpoint's names and shapes, if it holds a
// DenseNet.
struct DenseNetShape {
  DenseNetVariant variant;
  int64_t classes;
};
std::optional<DenseNetShape> densenet_shape(const Checkpoint& checkpoint);

}  // namespace distill
