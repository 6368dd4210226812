#include "core/models/dense_stage.h"

#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include "core/kernels/convolution.h"
#include "core/kernels/feature_gradient.h"
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
  std::vector<int64_t> taps;  // the place in the window of each pixel for the result at each other
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
at::Tensor convolve3x3(const Conv2d& convolution, const at::Tensor& x) {
  if (x.size(2) <= 2 && x.size(3) <= 2) return convolve_small(convolution, x);
  const bool direct = x.scalar_type() != at::kFloat || x.size(2) < 4 || x.size(3) < 4;
  return direct ? convolution(x) : convolve_without_bias(x, convolution);
}

// The values of a forward pass that the backward pass needs.
struct SavedStage : torch::CustomClassHolder {
  struct Layer {
    BatchAffine norm1, norm2;
    at::Tensor weight1;              // conv1's, (inner, channels) in the features' type
    at::Tensor y1;                   // conv1's result, (B, inner, H, W)
    at::Tensor input2, weight2, y2;  // conv2 with a graph of its own
  };
  at::Tensor features;   // (B, C', H, W)
  BatchMoments moments;  // of all features
  std::vector<Layer> layers;
  BatchAffine last;
  int64_t channels_in = 0;
  Pool pool = Pool::average;
};

// The first norm, ReLU and 1x1 convolution of a layer.
at::Tensor norm_relu_conv1(const at::Tensor& features, const SavedStage::Layer& layer) {
  if (norm_relu_product_applies(features, layer.weight1)) {
    return norm_relu_product(features, layer.norm1, layer.weight1);
  }
  const at::Tensor x = norm_relu(features.narrow(1, 0, layer.weight1.size(1)), layer.norm1.affine);
  return as_picture(at::mm(as_matrix(x), layer.weight1.t()), x);
}

// Adds to the gradient of the features, and returns those of the parameters.
FeatureGradient::OfProduct norm_relu_conv1_backward(FeatureGradient& gradient,
                                                    const at::Tensor& features,
                                                    const SavedStage::Layer& layer,
                                                    const at::Tensor& dy) {
  if (norm_relu_product_applies(features, layer.weight1)) {
    return gradient.add_product(features, layer.norm1, layer.weight1, dy);
  }
  const at::Tensor x = norm_relu(features.narrow(1, 0, layer.weight1.size(1)), layer.norm1.affine);
  const at::Tensor dy_matrix = as_matrix(dy);
  const at::Tensor dweight = at::mm(dy_matrix.t(), as_matrix(x));
  const at::Tensor dx = as_picture(at::mm(dy_matrix, layer.weight1), x);
  return {gradient.add(features, layer.norm1, dx, Pool::none), dweight};
}

class DenseStage : public torch::autograd::Function<DenseStage> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x,
                            at::TensorList /*parameters*/, const Layers& layers,
                            const BatchNorm2d& norm, Pool pool) {
    const auto saved = c10::make_intrusive<SavedStage>();
    context->saved_data["stage"] = c10::IValue::make_capsule(saved);
    saved->pool = pool;
    saved->channels_in = x.size(1);
    const int64_t all = norm.weight.size(0);
    const at::Tensor features = saved->features =
        at::empty({x.size(0), all, x.size(2), x.size(3)},
                  x.options().memory_format(at::MemoryFormat::ChannelsLast));
    saved->moments = {at::empty({all}), at::empty({all}), at::empty({all})};
    int64_t channels = 0;
    const auto append = [&](const at::Tensor& values) {
      const at::Tensor place = features.narrow(1, channels, values.size(1));
      place.copy_(values);
      saved->moments.set_channels(channels,
                                  to_tensors(channel_moments(place, rows_of_64_pixels(place))));
      channels += values.size(1);
    };

    append(x);
    for (const DenseNet::DenseLayer& layer : layers) {
      SavedStage::Layer& own = saved->layers.emplace_back();
      own.norm1 = batch_affine(saved->moments, layer.norm1);
      move_running_statistics(layer.norm1, own.norm1.moments);
      own.weight1 = layer.conv1.weight.view({-1, channels}).to(x.scalar_type());
      own.y1 = norm_relu_conv1(features, own);
      own.norm2 =
          batch_affine(to_tensors(channel_moments(own.y1, rows_of_64_pixels(own.y1))), layer.norm2);
      move_running_statistics(layer.norm2, own.norm2.moments);
      {
        const c10::AutoGradMode recording(true);
        own.input2 = norm_relu(own.y1, own.norm2.affine).requires_grad_();
        own.weight2 = layer.conv2.weight.detach().requires_grad_();
        Conv2d convolution = layer.conv2;
        convolution.weight = own.weight2;
        own.y2 = convolve3x3(convolution, own.input2);
      }
      append(own.y2.detach());
    }
    saved->last = batch_affine(saved->moments, norm);
    move_running_statistics(norm, saved->last.moments);
    const Affine& affine = saved->last.affine;
    if (pool == Pool::average2) return norm_relu_average2(features, affine);
    return norm_relu(features, affine).mean({2, 3}, /*keepdim=*/false, at::kFloat);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list dy) {
    const auto saved =
        c10::static_intrusive_pointer_cast<SavedStage>(context->saved_data["stage"].toCapsule());
    const at::Tensor& features = saved->features;
    FeatureGradient gradient(features);
    const auto of_last = gradient.add(features, saved->last,
                                      saved->pool == Pool::average
                                          ? dy[0].contiguous()
                                          : dy[0].contiguous(at::MemoryFormat::ChannelsLast),
                                      saved->pool);

    // In the parameters' order: six of each layer, then those of the last norm.
    const size_t count = saved->layers.size();
    torch::autograd::variable_list gradients(1 + 6 * count + 2 + 3);
    gradients[1 + 6 * count] = of_last.weight;
    gradients[2 + 6 * count] = of_last.bias;
    for (size_t i = count; i-- > 0;) {
      SavedStage::Layer& layer = saved->layers[i];
      const int64_t channels = layer.weight1.size(1);
      const auto of_conv2 = torch::autograd::grad(
          {layer.y2}, {layer.input2, layer.weight2},
          {gradient.finish(features, saved->moments, channels, layer.y2.size(1))});
      const NormGradients of_norm2 = norm_relu_backward(
          layer.y1, layer.norm2, of_conv2[0].contiguous(at::MemoryFormat::ChannelsLast));
      const auto of_conv1 = norm_relu_conv1_backward(gradient, features, layer, of_norm2.x);
      const size_t first = 1 + 6 * i;
      gradients[first] = of_conv1.norm.weight;
      gradients[first + 1] = of_conv1.norm.bias;
      gradients[first + 2] = of_conv1.weight.to(at::kFloat).view({-1, channels, 1, 1});
      gradients[first + 3] = of_norm2.weight;
      gradients[first + 4] = of_norm2.bias;
      gradients[first + 5] = of_conv2[1];
      layer = {};  // frees the memory for the layers before
    }
    gradients[0] = gradient.finish(features, saved->moments, 0, saved->channels_in);
    return gradients;
  }
};

// The same for devices that have none of the kernels.
at::Tensor by_operators(const at::Tensor& x, const Layers& layers, const BatchNorm2d& norm,
                        Pool pool) {
  const auto activate = [](const BatchNorm2d& norm, const at::Tensor& x) {
    return norm(x, /*training=*/true).relu_();
  };
  at::Tensor features = x;
  for (const auto& [norm1, conv1, norm2, conv2] : layers) {
    const at::Tensor grown = conv2(activate(norm2, conv1(activate(norm1, features))));
    features = at::cat({features, grown}, 1);
  }
  const at::Tensor y = activate(norm, features);
  if (pool == Pool::average2) return at::avg_pool2d(y, 2, 2);
  return y.mean({2, 3}, /*keepdim=*/false, at::kFloat);
}

}  // namespace

at::Tensor dense_stage(const at::Tensor& x, const Layers& layers, const BatchNorm2d& norm,
                       Pool pool) {
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
