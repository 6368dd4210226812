#pragma once

#include <ATen/ATen.h>

#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "core/checkpoint/checkpoint.h"
#include "core/models/network.h"
#include "core/nn/layers.h"

namespace distill {

// The sizes of a DenseNet (Huang et al. 2017, table 1).
struct DenseNetVariant {
  const char* name;                     // torchvision's
  int64_t growth_rate;                  // channels that each layer adds
  std::array<int64_t, 4> block_config;  // layers in each block
  int64_t init_features;                // channels of the first convolution

  // The channels after some of the blocks, each with the transition that halves them.
  int64_t channels_after(size_t blocks) const;
};
inline constexpr DenseNetVariant densenet121{"densenet121", 32, {6, 12, 24, 16}, 64};
inline constexpr DenseNetVariant densenet161{"densenet161", 48, {6, 12, 36, 24}, 96};
inline constexpr DenseNetVariant densenet169{"densenet169", 32, {6, 12, 32, 32}, 64};
inline constexpr DenseNetVariant densenet201{"densenet201", 32, {6, 12, 48, 32}, 64};

// torchvision's DenseNet, under its names. A picture's side is 32 pixels at least, of which the
// last features have 1x1.
class DenseNet final : public Network {
 public:
  DenseNet(const DenseNetVariant& variant, int64_t classes);

  StateDict& state() override { return state_; }
  const StateDict& state() const override { return state_; }
  const Linear* head() const override { return &layers_.classifier; }
  // As torch.manual_seed(seed); torchvision.models.densenet121(num_classes=classes).
  void initialize(at::Generator generator) override;
  // The last features of a picture may have one value a channel, which BatchNorm can only compare
  // with those of other pictures.
  int64_t smallest_batch() const override { return 2; }
  // torchvision's DenseNets have no dropout.
  at::Tensor forward(const at::Tensor& images, const at::Tensor& dropout) const override;
  // A FrozenDenseNet.
  std::unique_ptr<Evaluator> evaluator(const Compute& compute) override;

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
  // A dense block and the transition behind it, which the last block lacks.
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
  Layers layers_;
};

// The number of classes, if the checkpoint's names and shapes are those of this variant.
std::optional<int64_t> densenet_classes(const Checkpoint& checkpoint,
                                        const DenseNetVariant& variant);

}  // namespace distill
