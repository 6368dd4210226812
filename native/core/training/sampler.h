#pragma once

#include <ATen/ATen.h>
#include <ATen/core/Generator.h>

#include <span>

#include "core/names.h"

namespace distill {

// Returns the order in which an epoch shows pictures with these labels (n): n of their indices,
// int64. Random ones draw from `generator`.
using Sampler = at::Tensor(const at::Tensor& labels, const at::Generator& generator);

// Every sampler by its name. A new one is a function and a line of the table in sampler.cpp.
std::span<const Named<Sampler*>> samplers();

// 'sequential': the order of the store.
Sampler sequential_sampler;

// 'shuffle': each picture once, by torch.randperm.
Sampler shuffle_sampler;

// 'balanced': each class equally often on average. torch.utils.data.WeightedRandomSampler(weights,
// n, replacement=True), where a picture's weight is 1 / (the number of pictures of its class). One
// without a label weighs as much as the labelled ones on average, so that these keep their share.
Sampler balanced_sampler;

// The weights of the balanced sampler (n), double.
at::Tensor balanced_weights(const at::Tensor& labels);

}  // namespace distill
