#pragma once

#include <ATen/ATen.h>
#include <ATen/accelerator/Graph.h>

#include <functional>
#include <optional>
#include <vector>

namespace distill {

// A step that a device can repeat by itself. From tensors of the same sizes it always queues the
// same work; once warm, that is captured as a graph and from then on replayed as one, which spares
// the host to queue hundreds of kernels. On the CPU, for which there are no graphs, and for tensors
// of other sizes than the first ones, as the last batch's may be, the step is simply run.
//
// So a step may read nothing back from the device, and keep no tensor but those that it was made
// with.
class ReplayedStep {
 public:
  using Inputs = std::vector<at::Tensor>;  // on the device; undefined ones stay so
  using Step = std::function<at::Tensor(const Inputs&)>;
  ReplayedStep(at::Device device, Step step);

  // What the step returns; overwritten by the next call.
  at::Tensor operator()(const Inputs& inputs);
  // What the step does has changed: it is captured again.
  void forget();

 private:
  void capture();

  Step step_;
  bool can_capture_;
  int64_t runs_ = 0;  // before the capture
  std::optional<at::accelerator::Graph> graph_;
  Inputs inputs_;      // where the graph reads; before, the first ones
  at::Tensor result_;  // where it writes
};

}  // namespace distill
