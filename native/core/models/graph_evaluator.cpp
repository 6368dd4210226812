#include "core/models/graph_evaluator.h"

#include <ATen/core/LegacyTypeDispatch.h>

#include <utility>

#include "core/device/autocast.h"
#include "core/device/memory.h"
#include "core/graph/fuse.h"
#include "core/graph/limits.h"
#include "core/models/graph_network.h"

namespace distill {
GraphEvaluator::GraphEvaluator(const GraphNetwork& network, const Compute& compute)
    : GraphEvaluator(network, fuse(network.executor().program(), network.tensors(), compute),
                     compute) {}

GraphEvaluator::GraphEvaluator(const GraphNetwork& network, BoundProgram bound,
                               const Compute& compute)
    : compute_(compute), executor_(bound.program), tensors_(std::move(bound.tensors)) {
  if (const auto value = network.head_input()) features_.emplace(up_to(bound.program, *value));
}

at::Tensor GraphEvaluator::forward(const at::Tensor& images) const {
  return run(executor_, images);
}

at::Tensor GraphEvaluator::features(const at::Tensor& images) const {
  return run(features_.value(), images);
}

at::Tensor GraphEvaluator::run(const Executor& executor, const at::Tensor& images) const {
  const at::AutoDispatchBelowADInplaceOrView below_autograd;
  const AllocationLimit limit(evaluation_memory(images.size(0)));
  const Autocast autocast(images);
  return executor.evaluate(tensors_, images).to(at::kFloat).contiguous();
}

void GraphEvaluator::follow(const Network& network) {
  GraphEvaluator now(dynamic_cast<const GraphNetwork&>(network), compute_);
  if (compute_.device.is_cpu()) {
    *this = std::move(now);
    return;
  }
  for (size_t i = 0; i < tensors_.size(); ++i) tensors_[i].copy_(now.tensors_[i]);
}

}  // namespace distill
