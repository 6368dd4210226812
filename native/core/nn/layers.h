#pragma once

#include <ATen/ATen.h>

#include <string>

#include "core/checkpoint/state_dict.h"

namespace distill {

// A path in a model's tree of parameters. It both builds a layer and names its tensors as PyTorch's
// state dict does.
class Scope {
 public:
  Scope(StateDict& state, std::string path = {}) : state_(&state), path_(std::move(path)) {}

  Scope operator/(const std::string& child) const {
    return {*state_, path_.empty() ? child : path_ + "." + child};
  }
  Scope operator/(int64_t child) const { return *this / std::to_string(child); }

  // Registers an uninitialised tensor.
  at::Tensor tensor(const std::string& name, at::IntArrayRef shape,
                    at::ScalarType dtype = at::kFloat) const;

 private:
  StateDict* state_;
  std::string path_;
};

// The layers hold handles on the tensors that the state dict names. `initialize` draws in the order
// of PyTorch's reset_parameters, so that a seed gives the weights that torch.manual_seed gives.

struct Conv2d {
  Conv2d(const Scope& scope, int64_t in, int64_t out, int64_t kernel, int64_t stride,
         int64_t padding, bool with_bias);
  void initialize(at::Generator generator);
  // Computes in x's type, by ATen's operator; kernels/convolution.h may have a faster way.
  at::Tensor operator()(const at::Tensor& x) const;

  at::Tensor weight;  // (out, in, kernel, kernel), channels-last in memory
  at::Tensor bias;    // (out) or undefined
  int64_t stride, padding;
};

struct BatchNorm2d {
  static constexpr double momentum = 0.1, eps = 1e-5;  // torch.nn.BatchNorm2d's

  BatchNorm2d(const Scope& scope, int64_t channels);
  void initialize();
  // In training mode, normalises by the batch's statistics and moves the running ones.
  at::Tensor operator()(const at::Tensor& x, bool training) const;

  at::Tensor weight, bias, running_mean, running_var;  // (channels)
  at::Tensor num_batches_tracked;                      // () int64
};

struct Linear {
  Linear(const Scope& scope, int64_t in, int64_t out);
  // Of tensors that are there; without a bias, it is undefined.
  Linear(at::Tensor weight, at::Tensor bias) : weight(std::move(weight)), bias(std::move(bias)) {}
  void initialize(at::Generator generator);
  at::Tensor operator()(const at::Tensor& x) const;

  at::Tensor weight;  // (out, in)
  at::Tensor bias;    // (out)
};

}  // namespace distill
