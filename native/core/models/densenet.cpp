#include "core/models/densenet.h"

#include <cmath>

#include "core/kernels/norm_relu_train.h"
#include "core/models/dense_stage.h"
#include "core/models/frozen_densenet.h"
#include "core/nn/weights.h"

namespace distill {
namespace {

// torchvision's bn_size: a layer's inner channels, in growth rates.
constexpr int64_t bottleneck = 4;

std::string numbered(const std::string& name, size_t index) {
  return name + std::to_string(index + 1);  // torchvision counts from one
}

}  // namespace

int64_t DenseNetVariant::channels_after(size_t blocks) const {
  int64_t channels = init_features;
  for (size_t i = 0; i < blocks; ++i) {
    channels += block_config[i] * growth_rate;
    if (i + 1 < block_config.size()) channels /= 2;
  }
  return channels;
}

namespace {

std::vector<DenseNet::Stage> make_stages(const Scope& features, const DenseNetVariant& variant) {
  const int64_t growth = variant.growth_rate, inner = bottleneck * growth;
  std::vector<DenseNet::Stage> stages(variant.block_config.size());
  for (size_t i = 0; i < stages.size(); ++i) {
    const Scope block = features / numbered("denseblock", i);
    int64_t channels = variant.channels_after(i);
    for (int64_t j = 0; j < variant.block_config[i]; ++j, channels += growth) {
      const Scope layer = block / numbered("denselayer", j);
      stages[i].layers.push_back({BatchNorm2d(layer / "norm1", channels),
                                  Conv2d(layer / "conv1", channels, inner, 1, 1, 0, false),
                                  BatchNorm2d(layer / "norm2", inner),
                                  Conv2d(layer / "conv2", inner, growth, 3, 1, 1, false)});
    }
    if (i + 1 < stages.size()) {
      const Scope transition = features / numbered("transition", i);
      stages[i].transition = {BatchNorm2d(transition / "norm", channels),
                              Conv2d(transition / "conv", channels, channels / 2, 1, 1, 0, false)};
    }
  }
  return stages;
}

}  // namespace

DenseNet::Layers DenseNet::make_layers(const Scope& model, const DenseNetVariant& variant,
                                       int64_t classes) {
  const Scope features = model / "features";
  const int64_t channels = variant.channels_after(4);
  return {Conv2d(features / "conv0", 3, variant.init_features, /*kernel=*/7, /*stride=*/2,
                 /*padding=*/3, /*with_bias=*/false),
          BatchNorm2d(features / "norm0", variant.init_features), make_stages(features, variant),
          BatchNorm2d(features / "norm5", channels),
          Linear(model / "classifier", channels, classes)};
}

DenseNet::DenseNet(const DenseNetVariant& variant, int64_t classes)
    : layers_(make_layers(Scope(state_), variant, classes)) {}

void DenseNet::initialize(at::Generator generator) {
  std::vector<Conv2d*> convolutions = {&layers_.conv0};
  std::vector<BatchNorm2d*> norms = {&layers_.norm0, &layers_.norm5};
  for (Stage& stage : layers_.stages) {
    for (DenseLayer& layer : stage.layers) {
      convolutions.insert(convolutions.end(), {&layer.conv1, &layer.conv2});
      norms.insert(norms.end(), {&layer.norm1, &layer.norm2});
    }
    if (stage.transition) {
      convolutions.push_back(&stage.transition->conv);
      norms.push_back(&stage.transition->norm);
    }
  }
  for (BatchNorm2d* norm : norms) norm->initialize();
  // torchvision's layers first draw PyTorch's default weights, and then the constructor draws the
  // convolutions' again from kaiming_normal_: both draws are needed to end in the same state.
  for (Conv2d* convolution : convolutions) convolution->initialize(generator);
  layers_.classifier.initialize(generator);
  layers_.classifier.bias.zero_();
  for (Conv2d* convolution : convolutions) {
    at::Tensor& weight = convolution->weight;
    const double std = std::sqrt(2.0) / std::sqrt(static_cast<double>(weight[0].numel()));
    weight.copy_(at::empty(weight.sizes()).normal_(0, std, generator));
  }
}

at::Tensor DenseNet::forward(const at::Tensor& images, const at::Tensor& /*dropout*/) const {
  const auto& [conv0, norm0, stages, norm5, classifier] = layers_;
  at::Tensor x = at::max_pool2d(norm_relu_train(conv0(images), norm0), /*kernel_size=*/3,
                                /*stride=*/2, /*padding=*/1);
  for (const Stage& stage : stages) {
    if (const auto& transition = stage.transition) {
      x = transition->conv(dense_stage(x, stage.layers, transition->norm, Pool::average2));
    } else {
      x = dense_stage(x, stage.layers, norm5, Pool::average);
    }
  }
  return classifier(x);
}

std::unique_ptr<Evaluator> DenseNet::evaluator(const Compute& compute) {
  return std::make_unique<FrozenDenseNet>(*this, compute);
}

std::optional<int64_t> densenet_classes(const Checkpoint& checkpoint,
                                        const DenseNetVariant& variant) {
  const TensorEntry* conv0 = checkpoint.find("features.conv0.weight");
  const TensorEntry* classifier = checkpoint.find("classifier.weight");
  if (!conv0 || conv0->shape.size() != 4 || conv0->shape[0] != variant.init_features) return {};
  if (!classifier || !plausible_classes(*classifier)) return {};
  for (size_t i = 0; i < variant.block_config.size(); ++i) {
    const std::string block = "features." + numbered("denseblock", i) + ".";
    int64_t layers = 0;
    while (checkpoint.find(block + numbered("denselayer", layers) + ".conv1.weight")) ++layers;
    if (layers != variant.block_config[i]) return {};
  }
  return classifier->shape[0];
}

}  // namespace distill
