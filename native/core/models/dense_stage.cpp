#include "core/models/dense_stage.h"

#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include "core/kernels/convolution.h"
#include "core/kernels/norm_relu.h"
#include "core/kernels/norm_relu_product.h"
#include "core/kernels/norm_relu_train.h"

namespace distill {
namespace {

using Layers = std::vector<DenseNet::DenseLayer>;

// (B, C, H, W) in channels-last memory without gaps <-> (pixels, C): views.
at::Tensor as_matrix(const at::Tensor& x) {
  return x.permute({0, 2, 3, 1}).view({-1, x.size(1)});
}
at::Tensor as_picture(const at::Tensor& matrix, const at::Tensor& like) {
  return matrix.view({like.size(0), like.size(2), like.size(3), -1}).permute({0, 3, 1, 2});
}

// A 3x3 convolution of pictures of 2x2 pixels at most, as one product with a matrix of all of a
// picture's values: the larger part of each 3x3 window lies beyond such a picture.
at::Tensor convolve_small(const Conv2d& convolution, const at::Tensor& x) {
  const int64_t height = x.size(2), width = x.size(3), pixels = height * width;
  const int64_t in = x.size(1), out = convolution.weight.size(0);
  std::vector<int64_t> taps;  // the part of the window that leads from each pixel to each
  for (int64_t from = 0; from < pixels; ++from) {
    for (int64_t to = 0; to < pixels; ++to) {
      taps.push_back((from / width - to / width + 1) * 3 + from % width - to % width + 1);
    }
  }
  const at::Tensor by_tap = convolution.weight.to(x.scalar_type()).permute({2, 3, 1, 0});
  const at::Tensor matrix = by_tap.reshape({9, in * out})
                                .index_select(0, at::tensor(taps).to(x.device()))
                                .view({pixels, pixels, in, out})
                                .permute({0, 2, 1, 3})
                                .reshape({pixels * in, pixels * out});
  const at::Tensor values = x.permute({0, 2, 3, 1}).reshape({-1, pixels * in});
  return as_picture(at::mm(values, matrix), x);
}

// Winograd's tiles have 4x4 pixels: of smaller pictures most of a tile is empty. In bfloat16 so
// many layers keep to the direct way, which errs less.
at::Tensor convolve(const Conv2d& convolution, const at::Tensor& x) {
  if (x.size(2) <= 2 && x.size(3) <= 2) return convolve_small(convolution, x);
  const bool direct = x.scalar_type() != at::kFloat || x.size(2) < 4 || x.size(3) < 4;
  return direct ? convolution(x) : convolve_without_bias(x, convolution);
}

// What a stage keeps for its backward pass.
struct Tape : torch::CustomClassHolder {
  struct Layer {
    BatchAffine norm1, norm2;
    at::Tensor squeeze;              // (inner, channels) in the features' type
    at::Tensor squeezed;             // (B, inner, H, W), before norm2
    at::Tensor input, weight, made;  // the 3x3 convolution with its own graph
  };
  at::Tensor features;   // (B, C', H, W)
  BatchMoments moments;  // of all features
  std::vector<Layer> layers;
  BatchAffine last;
  int64_t channels_in = 0;
  StagePool pool = StagePool::average;
};

// The first norm, ReLU and 1x1 convolution of a layer, and its gradient.
at::Tensor squeeze(const at::Tensor& features, const Tape::Layer& layer) {
  const auto& [moments, scale, shift] = layer.norm1;
  if (norm_relu_product_applies(features, layer.squeeze)) {
    return norm_relu_product(features, layer.norm1, layer.squeeze);
  }
  const at::Tensor input = norm_relu(features.narrow(1, 0, scale.size(0)), scale, shift);
  return as_picture(at::mm(as_matrix(input), layer.squeeze.t()), input);
}

FeatureGradient::OfProduct squeeze_backward(FeatureGradient& gradient, const at::Tensor& features,
                                            const Tape::Layer& layer, const at::Tensor& dy) {
  const auto& [moments, scale, shift] = layer.norm1;
  if (norm_relu_product_applies(features, layer.squeeze)) {
    return gradient.add_product(features, layer.norm1, layer.squeeze, dy);
  }
  const at::Tensor input = norm_relu(features.narrow(1, 0, scale.size(0)), scale, shift);
  const at::Tensor outgoing = as_matrix(dy);
  const at::Tensor weight = at::mm(outgoing.t(), as_matrix(input));
  const at::Tensor reaching = as_picture(at::mm(outgoing, layer.squeeze), input);
  return {gradient.add(features, layer.norm1, reaching, FeatureGradient::Pool::none), weight};
}

class DenseStage : public torch::autograd::Function<DenseStage> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x,
                            at::TensorList /*parameters*/, const Layers& layers,
                            const BatchNorm2d& norm, StagePool pool) {
    const auto tape = c10::make_intrusive<Tape>();
    context->saved_data["tape"] = c10::IValue::make_capsule(tape);
    tape->pool = pool;
    tape->channels_in = x.size(1);
    const int64_t all = norm.weight.size(0);
    const at::Tensor features = tape->features =
        at::empty({x.size(0), all, x.size(2), x.size(3)},
                  x.options().memory_format(at::MemoryFormat::ChannelsLast));
    tape->moments = {at::empty({all}), at::empty({all}), at::empty({all})};
    int64_t channels = 0;
    const auto append = [&](const at::Tensor& made) {
      const at::Tensor place = features.narrow(1, channels, made.size(1));
      place.copy_(made);
      tape->moments.put(channels, batch_moments(place));
      channels += made.size(1);
    };

    append(x);
    for (const DenseNet::DenseLayer& layer : layers) {
      Tape::Layer& kept = tape->layers.emplace_back();
      kept.norm1 = batch_affine(tape->moments, layer.norm1);
      move_running_statistics(layer.norm1, kept.norm1.moments);
      kept.squeeze = layer.conv1.weight.view({-1, channels}).to(x.scalar_type());
      kept.squeezed = squeeze(features, kept);
      kept.norm2 = batch_affine(batch_moments(kept.squeezed), layer.norm2);
      move_running_statistics(layer.norm2, kept.norm2.moments);
      {
        const c10::AutoGradMode recording(true);
        kept.input = norm_relu(kept.squeezed, kept.norm2.scale, kept.norm2.shift).requires_grad_();
        kept.weight = layer.conv2.weight.detach().requires_grad_();
        Conv2d convolution = layer.conv2;
        convolution.weight = kept.weight;
        kept.made = convolve(convolution, kept.input);
      }
      append(kept.made.detach());
    }
    tape->last = batch_affine(tape->moments, norm);
    move_running_statistics(norm, tape->last.moments);
    const auto& [_, scale, shift] = tape->last;
    if (pool == StagePool::average2) return norm_relu_average2(features, scale, shift);
    return norm_relu(features, scale, shift).mean({2, 3}, /*keepdim=*/false, at::kFloat);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const auto tape =
        c10::static_intrusive_pointer_cast<Tape>(context->saved_data["tape"].toCapsule());
    const at::Tensor& features = tape->features;
    FeatureGradient gradient(features);
    const bool is_average = tape->pool == StagePool::average;
    const auto of_last =
        gradient.add(features, tape->last,
                     is_average ? gradients[0].contiguous()
                                : gradients[0].contiguous(at::MemoryFormat::ChannelsLast),
                     is_average ? FeatureGradient::Pool::average : FeatureGradient::Pool::average2);

    // In the parameters' order: six of each layer, then those of the last norm.
    const size_t count = tape->layers.size();
    torch::autograd::variable_list found(1 + 6 * count + 2 + 3);
    found[1 + 6 * count] = of_last.weight;
    found[2 + 6 * count] = of_last.bias;
    for (size_t i = count; i-- > 0;) {
      Tape::Layer& layer = tape->layers[i];
      const int64_t channels = layer.squeeze.size(1);
      const auto of_convolution = torch::autograd::grad(
          {layer.made}, {layer.input, layer.weight},
          {gradient.take(features, tape->moments, channels, layer.made.size(1))});
      const auto of_norm2 =
          norm_relu_backward(layer.squeezed, layer.norm2,
                             of_convolution[0].contiguous(at::MemoryFormat::ChannelsLast));
      const auto of_squeeze = squeeze_backward(gradient, features, layer, of_norm2.x);
      const size_t first = 1 + 6 * i;
      found[first] = of_squeeze.norm.weight;
      found[first + 1] = of_squeeze.norm.bias;
      found[first + 2] = of_squeeze.weight.to(at::kFloat).view({-1, channels, 1, 1});
      found[first + 3] = of_norm2.weight;
      found[first + 4] = of_norm2.bias;
      found[first + 5] = of_convolution[1];
      layer = {};  // what it kept is free for the layers before
    }
    found[0] = gradient.take(features, tape->moments, 0, tape->channels_in);
    return found;
  }
};

// Where none of the kernels is at home.
at::Tensor by_operators(const at::Tensor& x, const Layers& layers, const BatchNorm2d& norm,
                        StagePool pool) {
  const auto activate = [](const BatchNorm2d& norm, const at::Tensor& x) {
    return norm(x, /*training=*/true).relu_();
  };
  at::Tensor features = x;
  for (const auto& [norm1, conv1, norm2, conv2] : layers) {
    const at::Tensor made = conv2(activate(norm2, conv1(activate(norm1, features))));
    features = at::cat({features, made}, 1);
  }
  const at::Tensor y = activate(norm, features);
  if (pool == StagePool::average2) return at::avg_pool2d(y, 2, 2);
  return y.mean({2, 3}, /*keepdim=*/false, at::kFloat);
}

}  // namespace

at::Tensor dense_stage(const at::Tensor& x, const Layers& layers, const BatchNorm2d& norm,
                       StagePool pool) {
  if (!x.is_cpu()) return by_operators(x, layers, norm, pool);
  std::vector<at::Tensor> parameters;
  for (const auto& [norm1, conv1, norm2, conv2] : layers) {
    parameters.insert(parameters.end(), {norm1.weight, norm1.bias, conv1.weight, norm2.weight,
                                         norm2.bias, conv2.weight});
  }
  parameters.insert(parameters.end(), {norm.weight, norm.bias});
  return DenseStage::apply(x, at::TensorList(parameters), layers, norm, pool);
}

}  // namespace distill
