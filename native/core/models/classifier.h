#pragma once

#include <ATen/ATen.h>

#include <memory>

#include "core/data/normalize.h"
#include "core/device/device.h"
#include "core/device/graph.h"
#include "core/models/network.h"

namespace distill {

// A network that answers for pictures as they are stored.
class Classifier {
 public:
  Classifier(std::unique_ptr<Evaluator> evaluator, const Preprocessing& preprocessing,
             const Compute& compute);
  Classifier(const Classifier&) = delete;  // the step refers to this object
  Classifier& operator=(const Classifier&) = delete;

  // pixels (B, S, S, 3) uint8 -> logits (B, classes) float32, both on the CPU
  at::Tensor logits(const at::Tensor& pixels);

 private:
  at::Device device_;
  Normalizer normalize_;
  std::unique_ptr<Evaluator> evaluator_;
  ReplayedStep step_;  // {pixels} -> logits, on the device
};

}  // namespace distill
