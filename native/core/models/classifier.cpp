#include "core/models/classifier.h"

#include <c10/core/GradMode.h>

namespace distill {

Classifier::Classifier(std::unique_ptr<Evaluator> evaluator, const Preprocessing& preprocessing,
                       const Compute& compute)
    : device_(compute.device),
      normalize_(preprocessing, compute.device, compute.dtype),
      evaluator_(std::move(evaluator)),
      step_(compute.device, [this](const ReplayedStep::Inputs& pixels) {
        return evaluator_->forward(normalize_(pixels[0]));
      }) {}

at::Tensor Classifier::logits(const at::Tensor& pixels) {
  const c10::NoGradGuard no_grad;
  return step_({upload(pixels, device_)}).to(at::kCPU).contiguous();
}

}  // namespace distill
