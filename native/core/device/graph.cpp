#include "core/device/graph.h"

#include <c10/util/Exception.h>

namespace distill {
namespace {

// Runs before the capture. The first ones choose and allocate things, such as the fastest
// convolutions, which a capture must not.
constexpr int64_t warm_up = 3;

bool are_alike(const ReplayedStep::Inputs& some, const ReplayedStep::Inputs& others) {
  return std::equal(some.begin(), some.end(), others.begin(), others.end(),
                    [](const at::Tensor& one, const at::Tensor& other) {
                      return one.defined() == other.defined() &&
                             (!one.defined() || one.sizes() == other.sizes());
                    });
}

}  // namespace

ReplayedStep::ReplayedStep(at::Device device, Step step)
    : step_(std::move(step)), can_capture_(!device.is_cpu() && at::has_graph_impl(device.type())) {}

at::Tensor ReplayedStep::operator()(const Inputs& inputs) {
  if (!can_capture_) return step_(inputs);
  if (inputs_.empty()) inputs_ = inputs;
  if (!are_alike(inputs, inputs_)) return step_(inputs);
  if (!graph_) {
    if (runs_++ < warm_up) return step_(inputs);
    capture();
    if (!graph_) return step_(inputs);
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].defined()) inputs_[i].copy_(inputs[i]);
  }
  graph_->replay();
  return result_;
}

void ReplayedStep::forget() {
  graph_.reset();
  inputs_.clear();
  result_ = at::Tensor();
  runs_ = 0;
}

void ReplayedStep::capture() {
  for (at::Tensor& input : inputs_) {
    if (input.defined()) input = at::empty_like(input);
  }
  graph_.emplace();
  try {
    // Other threads may do meanwhile things that the device forbids this one.
    graph_->capture_begin(/*pool=*/{0, 0}, at::GraphCaptureMode::ThreadLocal);
    result_ = step_(inputs_);
    graph_->capture_end();
  } catch (const c10::Error& error) {
    try {
      graph_->capture_end();  // a capture that failed has to be ended as well
    } catch (const c10::Error&) {
    }
    TORCH_WARN("a step cannot be captured as a graph, and is queued anew each time: ",
               error.what_without_backtrace());
    forget();
    can_capture_ = false;
  }
}

}  // namespace distill
