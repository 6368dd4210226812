#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "core/checkpoint/checkpoint.h"

namespace distill {

// The facts of a graph in a file, for people.
struct GraphSummary {
  std::string module;  // class of the model, such as "torchvision.models.resnet.ResNet"; or ""
  std::string torch_version;                 // that exported it
  std::map<std::string, int64_t> operators;  // the number of calls by name, such as "aten.conv2d"
  std::optional<int64_t> image_size;         // side of its pictures, where it takes one size alone
  std::optional<int64_t> classes;            // none where it cannot be used
  std::string refusal;                       // why it cannot be used; empty where it can
};

// The last part of a class, such as "ResNet"; "graph" where it is not known.
std::string name_of_module(const std::string& module);

// Summarises the graph of a checkpoint that has one. Weights are not read.
GraphSummary summarize_graph(const Checkpoint& checkpoint);

}  // namespace distill
