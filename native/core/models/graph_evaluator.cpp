#include "core/models/graph_evaluator.h"

#include <ATen/core/LegacyTypeDispatch.h>

#include "core/device/autocast.h"
#include "core/device/memory.h"
#include "core/models/graph_network.h"

namespace distill {
namespace {

std::optional<Executor> features_of(const Program& program) {
  const auto head = find_head(program);
  if (!head || !head->is_linear) return std::nullopt;
  return Executor(up_to(program, program.calls[head->call].argument("input").value));
}

// The network's tensors on the evaluator's device.
Executor::Tensors moved(const GraphNetwork& network, const Compute& compute) {
  Executor::Tensors tensors = network.tensors();
  for (at::Tensor& tensor : tensors) tensor = tensor.detach().to(compute.device);
  return tensors;
}

}  // namespace

GraphEvaluator::GraphEvaluator(const GraphNetwork& network, const Compute& compute)
    : compute_(compute),
      executor_(network.executor()),
      features_(features_of(executor_.program())),
      tensors_(moved(network, compute)) {}

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
  const auto now = moved(dynamic_cast<const GraphNetwork&>(network), compute_);
  if (compute_.device.is_cpu()) {
    tensors_ = now;
    return;
  }
  for (size_t i = 0; i < now.size(); ++i) tensors_[i].copy_(now[i]);
}

}  // namespace distill
