#pragma once

#include <ATen/ATen.h>
#include <ATen/accelerator/Graph.h>

#include <functional>
#include <optional>
#include <vector>

namespace distill {

// A step that a device can repeat by itself. From tensors of the same sizes it always queues the
// same work. Once warm, that work is captured as a graph and from then on replayed, so that the
// host need not queue hundreds of kernels. On the CPU, which has no graphs, and for tensors of
// other sizes than the first ones, such as the last batch's, the step is simply run.
//
// A step must read nothing back from the device, and keep no tensor but those that it was made
// with.
class ReplayedStep {
 public:
  using Inputs = std::vector<at::Tensor>;  // on the device; undefined ones stay so
  using Step = std::function<at::Tensor(const Inputs&)>;
  ReplayedStep(at::Device device, Step step);

  // Returns the result of the step, which the next call overwrites.
  at::Tensor operator()(const Inputs& inputs);
  // Captures the step again, as its work has changed.
  void forget();

 private:
  void capture();

  Step step_;
  bool can_capture_;
  int64_t runs_ = 0;  // before the capture
  std::optional<at::accelerator::Graph> graph_;
  Inputs inputs_;      // read by the graph; before the capture, the first inputs
  at::Tensor result_;  // written by the graph
};

}  // namespace distill
