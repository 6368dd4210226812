#pragma once

#include <ATen/ATen.h>

#include <optional>

#include "core/device/device.h"
#include "core/graph/execution.h"
#include "core/graph/fuse.h"
#include "core/models/network.h"

namespace distill {

class GraphNetwork;

// A graph in evaluation mode.
class GraphEvaluator final : public Evaluator {
 public:
  GraphEvaluator(const GraphNetwork& network, const Compute& compute);

  // Throws std::bad_optional_access where the last layer is no linear one.
  at::Tensor features(const at::Tensor& images) const override;
  at::Tensor forward(const at::Tensor& images) const override;
  void follow(const Network& network) override;

 private:
  GraphEvaluator(const GraphNetwork& network, BoundProgram bound, const Compute& compute);
  at::Tensor run(const Executor& executor, const at::Tensor& images) const;

  Compute compute_;
  Executor executor_;
  std::optional<Executor> features_;  // all before a linear last layer
  Executor::Tensors tensors_;         // that both read
};

}  // namespace distill
