#include "core/models/frozen_densenet.h"

#include <ATen/core/dispatch/Dispatcher.h>

#include <algorithm>

#include "core/kernels/norm_relu.h"
#include "core/kernels/winograd.h"

namespace distill {
namespace {

// oneDNN's convolutions with a fused ReLU and weights packed ahead, if this LibTorch has them.
std::optional<c10::OperatorHandle> mkldnn(const char* name) {
  return c10::Dispatcher::singleton().findSchema({std::string("mkldnn::") + name, ""});
}

at::Tensor call(const c10::OperatorHandle& operation, std::vector<c10::IValue> arguments) {
  operation.callBoxed(&arguments);
  return arguments.front().toTensor();
}

}  // namespace

at::Tensor FrozenDenseNet::Convolution::operator()(const at::Tensor& x) const {
  // A picture that is smaller than Winograd's tiles would leave most of a tile empty.
  if (winograd && std::min(x.size(2), x.size(3)) >= 4) return winograd_convolution(x, weight);
  const std::vector<int64_t> strides(2, stride), paddings(2, padding), dilations(2, 1);
  if (packed_weight.defined()) {
    static const auto operation = mkldnn("_convolution_pointwise");
    return call(*operation, {x, packed_weight, bias, paddings, strides, dilations, /*groups=*/1,
                             relu ? "relu" : "none", c10::List<std::optional<at::Scalar>>(),
                             /*algorithm=*/""});
  }
  const at::Tensor y = at::conv2d(x, weight, bias, strides, paddings);
  return relu ? at::Tensor(y).relu_() : y;
}

Affine FrozenDenseNet::affine(const BatchNorm2d& norm) const {
  const auto in_double = [](const at::Tensor& x) { return x.to(at::kDouble); };
  const at::Tensor scale =
      in_double(norm.weight) * (in_double(norm.running_var) + BatchNorm2d::eps).rsqrt();
  const at::Tensor shift = in_double(norm.bias) - in_double(norm.running_mean) * scale;
  return {scale.to(compute_.device, at::kFloat), shift.to(compute_.device, at::kFloat)};
}

FrozenDenseNet::Convolution FrozenDenseNet::convolution(const Conv2d& layer,
                                                        const BatchNorm2d* norm, bool relu) const {
  at::Tensor weight = layer.weight.to(compute_.device);
  at::Tensor bias = at::zeros({weight.size(0)}, weight.options());
  if (norm) {
    const auto [scale, shift] = affine(*norm);
    weight = weight * scale.view({-1, 1, 1, 1});
    bias = shift;
  }
  weight = weight.contiguous(at::MemoryFormat::ChannelsLast);
  Convolution result{weight,        bias, at::Tensor(),      layer.stride,
                     layer.padding, relu, /*winograd=*/false};
  // A teacher in bfloat16 keeps to direct convolutions, which err less.
  if (!norm && !relu && compute_.dtype == at::kFloat &&
      winograd_applies(compute_.device, compute_.dtype, weight, layer.stride, layer.padding)) {
    result.winograd = true;
    return result;
  }
  result.weight = weight.to(compute_.dtype);
  result.bias = bias.to(compute_.dtype);
  const bool emulated = compute_.dtype == at::kBFloat16 && !multiplies_bf16();
  if (compute_.device.is_cpu() && at::globalContext().userEnabledMkldnn() && !emulated &&
      mkldnn("_convolution_pointwise")) {
    if (const auto pack = mkldnn("_reorder_convolution_weight")) {
      result.packed_weight =
          call(*pack, {result.weight, std::vector<int64_t>(2, layer.padding),
                       std::vector<int64_t>(2, layer.stride), std::vector<int64_t>(2, 1),
                       /*groups=*/1, /*input_size=*/c10::IValue()});
    }
  }
  return result;
}

FrozenDenseNet::FrozenDenseNet(const DenseNet& model, const Compute& compute) : compute_(compute) {
  const DenseNet::Layers& layers = model.layers();
  stem_ = convolution(layers.conv0, &layers.norm0, /*relu=*/true);
  int64_t channels = layers.conv0.weight.size(0);
  for (const DenseNet::Stage& stage : layers.stages) {
    Stage& frozen = stages_.emplace_back();
    frozen.channels_in = channels;
    for (const DenseNet::DenseLayer& layer : stage.layers) {
      frozen.layers.push_back({affine(layer.norm1),
                               convolution(layer.conv1, &layer.norm2, /*relu=*/true),
                               convolution(layer.conv2, nullptr, /*relu=*/false)});
      channels += layer.conv2.weight.size(0);
    }
    frozen.channels_out = channels;
    if (stage.transition) {
      frozen.transition = {affine(stage.transition->norm),
                           convolution(stage.transition->conv, nullptr, /*relu=*/false)};
      channels = stage.transition->conv.weight.size(0);
    }
  }
  norm_ = affine(layers.norm5);
  classifier_weight_ = layers.classifier.weight.to(compute.device);
  classifier_bias_ = layers.classifier.bias.to(compute.device);
}

void FrozenDenseNet::follow(const Network& network) {
  FrozenDenseNet now(dynamic_cast<const DenseNet&>(network), compute_);
  if (compute_.device.is_cpu()) {
    *this = std::move(now);
    return;
  }
  const std::vector<at::Tensor> to = tensors(), from = now.tensors();
  for (size_t i = 0; i < to.size(); ++i) at::Tensor(to[i]).copy_(from[i]);
}

std::vector<at::Tensor> FrozenDenseNet::tensors() const {
  std::vector<at::Tensor> tensors{stem_.weight, stem_.bias};
  const auto add = [&](const Affine& affine) {
    tensors.insert(tensors.end(), {affine.scale, affine.shift});
  };
  const auto add_convolution = [&](const Convolution& convolution) {
    tensors.insert(tensors.end(), {convolution.weight, convolution.bias});
  };
  for (const Stage& stage : stages_) {
    for (const DenseLayer& layer : stage.layers) {
      add(layer.norm1);
      add_convolution(layer.conv1);
      add_convolution(layer.conv2);
    }
    if (stage.transition) {
      add(stage.transition->norm);
      add_convolution(stage.transition->convolution);
    }
  }
  add(norm_);
  tensors.insert(tensors.end(), {classifier_weight_, classifier_bias_});
  return tensors;
}

at::Tensor FrozenDenseNet::forward(const at::Tensor& images) const {
  return at::linear(features(images), classifier_weight_, classifier_bias_);  // (B, classes)
}

at::Tensor FrozenDenseNet::features(const at::Tensor& images) const {
  at::Tensor x = at::max_pool2d(stem_(images), /*kernel_size=*/3, /*stride=*/2, /*padding=*/1);
  for (const Stage& stage : stages_) {
    // Every layer reads the results of all layers before it, and writes its own channels behind
    // them.
    const at::Tensor features =
        at::empty({x.size(0), stage.channels_out, x.size(2), x.size(3)},
                  x.options().memory_format(at::MemoryFormat::ChannelsLast));
    features.narrow(1, 0, stage.channels_in).copy_(x);
    int64_t channels = stage.channels_in;
    for (const DenseLayer& layer : stage.layers) {
      const at::Tensor input = features.narrow(1, 0, channels);
      const at::Tensor output = layer.conv2(layer.conv1(norm_relu(input, layer.norm1)));
      features.narrow(1, channels, output.size(1)).copy_(output);
      channels += output.size(1);
    }
    x = features;
    if (const auto& transition = stage.transition) {
      x = transition->convolution(norm_relu_average2(x, transition->norm));
    }
  }
  return norm_relu(x, norm_).mean({2, 3}, /*keepdim=*/false, at::kFloat);
}

}  // namespace distill
