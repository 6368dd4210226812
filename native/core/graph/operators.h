#pragma once

#include <string>
#include <string_view>

namespace distill {

// The operators that are treated in a way of their own.
enum class OperatorKind {
  plain,
  batch_norm,       // moves running statistics in training
  dropout,          // drops elements in training, and does nothing else
  feature_dropout,  // drops whole channels
  assertion,        // checks what the exporter believed, and is no part of the computation
  scalar,           // computes with sizes
  depthwise,        // a convolution of each channel by itself
  convolution_3x3,  // by Winograd's way, where it applies
  fused_3x3,        // the same in evaluation, with what stands behind it
  fused,            // of oneDNN; takes its input in the type of its weights
};

// An operator that a graph may call. All others are refused: these are functions of their arguments
// alone, which read and write nothing else, and draw no random numbers.
struct Operator {
  std::string_view name;      // without its namespace, such as "conv2d"
  std::string_view overload;  // such as "padding", or ""
  OperatorKind kind;
};

// True for operators that may return their argument itself, or a view of it, although their schemas
// do not say so.
bool returns_input_unsaid(std::string_view name);

// The operator of a node's target, such as "torch.ops.aten.conv2d.default"; nullptr where it is
// none that is allowed.
const Operator* find_operator(std::string_view target);

}  // namespace distill
